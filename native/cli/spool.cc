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
#include "platform/file.h"
#include "platform/path.h"
#include "platform/standard_streams.h"

namespace runhv::cli {
namespace {

constexpr std::uint64_t kMostSpooledBytes = std::uint64_t{64}
                                            << 30;  // as ImageLimits.ARCHIVE_BYTES
constexpr std::size_t kBlock = 256 << 10;
constexpr int kMostAttempts = 100;

using Stream = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

std::string incoming(const std::string& store) { return store + "/incoming"; }

// Somebody who sweeps may take a new folder for a dead one's, until it is locked.
Result<platform::FolderLock> own_folder(const std::string& path) {
  for (int attempt = 1;; ++attempt) {
    RUNHV_TRY(platform::make_private_directory(path));
    auto lock = platform::FolderLock::acquire(path);
    if (lock || attempt == kMostAttempts ||
        (lock.error().code != Code::kNotFound && lock.error().code != Code::kConflict)) {
      return lock;
    }
  }
}

Fail<Error> failed(const std::string& verb, const std::string& what) {
  return Fail{Error{Code::kHostFailed, verb, what + ": " + std::strerror(errno)}};
}

}  // namespace

void Spool::sweep(const std::string& store) { sweep_unlocked(incoming(store)); }

Result<std::unique_ptr<Spool>> Spool::create(const std::string& verb, const std::string& store,
                                             const std::string& id) {
  const std::string folder = incoming(store);
  std::error_code failure;
  std::filesystem::create_directories(platform::filesystem_path(folder), failure);
  if (failure) {
    return Fail{Error{Code::kHostFailed, verb, "make " + folder + ": " + failure.message()}};
  }
  const std::string own = folder + "/" + id;
  RUNHV_TRY_ASSIGN(platform::FolderLock lock, own_folder(own));
  return std::unique_ptr<Spool>(new Spool(verb, own + "/stream", std::move(lock)));
}

Spool::Spool(std::string verb, std::string path, platform::FolderLock folder)
    : verb_(std::move(verb)), path_(std::move(path)), folder_(std::move(folder)) {}

Spool::~Spool() { static_cast<void>(std::move(folder_).remove_folder()); }

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
