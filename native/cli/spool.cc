#include "cli/spool.h"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/sweep.h"
#include "platform/standard_streams.h"

namespace runhv::cli {
namespace {

constexpr std::uint64_t kMostSpooledBytes = std::uint64_t{64}
                                            << 30;  // as ImageLimits.ARCHIVE_BYTES
constexpr std::size_t kBlock = 256 << 10;

using Stream = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

Fail<Error> failed(const std::string& verb, const std::string& what) {
  return Fail{Error{Code::kHostFailed, verb, what + ": " + std::strerror(errno)}};
}

}  // namespace

Result<std::unique_ptr<Spool>> Spool::create(const std::string& verb, const std::string& store,
                                             const std::string& id) {
  const std::string folder = store + "/incoming";
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  if (failure) {
    return Fail{Error{Code::kHostFailed, verb, "make " + folder + ": " + failure.message()}};
  }
  sweep(folder);
  return std::unique_ptr<Spool>(new Spool(verb, folder + "/" + id));
}

Spool::Spool(std::string verb, std::string path) : verb_(std::move(verb)), path_(std::move(path)) {}

Spool::~Spool() {
  std::error_code failure;
  std::filesystem::remove(path_, failure);
}

Result<void> Spool::take_stdin() const {
  if (platform::is_terminal(platform::standard_stream(0))) {
    return Fail{Error{Code::kInvalidArgument, verb_, "stdin is a terminal: name a FILE"}};
  }
  const Stream out(std::fopen(path_.c_str(), "wbx"), &std::fclose);
  if (out == nullptr) return failed(verb_, "create " + path_);
  std::vector<char> block(kBlock);
  std::uint64_t count = 0;
  while (const std::size_t got = std::fread(block.data(), 1, block.size(), stdin)) {
    if (got > kMostSpooledBytes - count) {
      return Fail{Error{Code::kInvalidArgument, verb_, "stdin has more than 64 GiB"}};
    }
    count += got;
    if (std::fwrite(block.data(), 1, got, out.get()) != got) return failed(verb_, "write " + path_);
  }
  if (std::ferror(stdin) != 0) return failed(verb_, "read stdin");
  if (std::fflush(out.get()) != 0) return failed(verb_, "write " + path_);
  return {};
}

Result<void> Spool::require_pipe() const {
  if (!platform::is_terminal(platform::standard_stream(1))) return {};
  return Fail{Error{Code::kInvalidArgument, verb_, "stdout is a terminal: name a FILE"}};
}

Result<void> Spool::give_to_stdout() const {
  const Stream in(std::fopen(path_.c_str(), "rb"), &std::fclose);
  if (in == nullptr) return failed(verb_, "open " + path_);
  std::vector<char> block(kBlock);
  while (const std::size_t got = std::fread(block.data(), 1, block.size(), in.get())) {
    if (std::fwrite(block.data(), 1, got, stdout) != got) return failed(verb_, "write to stdout");
  }
  if (std::ferror(in.get()) != 0) return failed(verb_, "read " + path_);
  if (std::fflush(stdout) != 0) return failed(verb_, "write to stdout");
  return {};
}

}  // namespace runhv::cli
