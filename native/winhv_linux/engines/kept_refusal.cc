#include "winhv_linux/engines/kept_refusal.h"

#include <charconv>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "platform/file.h"

namespace runhv::winhv_linux {
namespace {

constexpr std::uint64_t kMostBytes = 4096;
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

}  // namespace

KeptRefusal::KeptRefusal(std::string folder)
    : folder_(std::move(folder)), path_(folder_ + "/kvm-refused") {}

std::optional<std::string> KeptRefusal::get(std::uint64_t now_ns) const {
  if (folder_.empty() || !platform::file_exists(path_)) return std::nullopt;
  // Whoever else has made the folder says nothing to this user.
  if (!platform::make_private_directory(folder_)) return std::nullopt;
  const auto bytes = platform::read_file(path_, kMostBytes);
  if (!bytes) return std::nullopt;
  // When it was, a space, and why.
  const std::string_view text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  std::uint64_t then_ns = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), then_ns);
  const auto digits = static_cast<std::size_t>(end - text.data());
  if (failed != std::errc() || digits + 1 >= text.size() || text[digits] != ' ') {
    return std::nullopt;
  }
  if (then_ns > now_ns || now_ns - then_ns > kKeptNs) return std::nullopt;
  return std::string(text.substr(digits + 1)) + " (seen " +
         std::to_string((now_ns - then_ns) / kNsPerSecond) + " s ago)";
}

void KeptRefusal::put(const std::string& why, std::uint64_t now_ns) const {
  if (folder_.empty() || !platform::make_private_directory(folder_)) return;
  (void)platform::write_file_atomically(path_, as_bytes(std::to_string(now_ns) + " " + why),
                                        platform::Durability::kUnsynced);
}

}  // namespace runhv::winhv_linux
