// Which pages of guest memory the guest has written since it was last asked.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <span>

namespace runhv::winhv_linux {

// Pages are of 4 KiB; addresses and sizes are multiples of that and do not wrap.
// Threads: any.
class DirtyPages {
 public:
  void mark(std::uint64_t gpa) { mark(gpa, 1); }
  void mark(std::uint64_t gpa, std::uint64_t size);  // each page that it touches
  // Bit n of `bitmap`: page n of [gpa, gpa + size), which then counts as not written. An empty
  // bitmap: it is only forgotten; else it has a bit for each page.
  void take(std::uint64_t gpa, std::uint64_t size, std::span<std::uint64_t> bitmap);
  void forget(std::uint64_t gpa, std::uint64_t size) { take(gpa, size, {}); }

 private:
  std::mutex mutex_;
  std::map<std::uint64_t, std::uint64_t> words_;  // 64 pages each, by number; none is zero
};

}  // namespace runhv::winhv_linux
