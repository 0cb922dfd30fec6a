// Why "auto" did not take KVM, for the next processes of this user: where KVM is emulated, to find
// it out costs a tenth of a start.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace runhv::winhv_linux {

// A file. Where it cannot be read or written, or says something else, there is none. Threads: any,
// of any process.
class KeptRefusal {
 public:
  // A host may be mended, and one that was busy may have been misjudged.
  static constexpr std::uint64_t kKeptNs = 600'000'000'000;

  // In `folder`, which is made where it is missing. Empty: nothing is kept.
  explicit KeptRefusal(std::string folder);

  // What was put, with its age, while that is at most kKeptNs. `now_ns`: platform::realtime_ns().
  std::optional<std::string> get(std::uint64_t now_ns) const;
  void put(const std::string& why, std::uint64_t now_ns) const;

 private:
  std::string folder_;
  std::string path_;
};

}  // namespace runhv::winhv_linux
