#include "oom.h"

#include "sys.h"

namespace runhv::agent {

std::uint32_t oom_kills_in(std::string_view vmstat) {
  constexpr std::string_view kName = "\noom_kill ";
  const std::size_t name = vmstat.find(kName);
  if (name == std::string_view::npos) return 0;
  std::uint64_t count = 0;
  for (std::size_t i = name + kName.size(); i < vmstat.size(); ++i) {
    if (vmstat[i] < '0' || vmstat[i] > '9') break;
    count = count * 10 + static_cast<std::uint64_t>(vmstat[i] - '0');
    if (count > UINT32_MAX) return UINT32_MAX;
  }
  return static_cast<std::uint32_t>(count);
}

std::uint32_t count_oom_kills() {
  const int file = sys::open("/proc/vmstat", O_RDONLY | O_NONBLOCK);
  if (file < 0) return 0;
  static char text[16u << 10];  // some 5 KiB in Linux 6.12
  std::size_t size = 0;
  while (size < sizeof text) {
    const long result = sys::read(file, text + size, sizeof text - size);
    if (result <= 0) break;
    size += static_cast<std::size_t>(result);
  }
  sys::close(file);
  return oom_kills_in({text, size});
}

}  // namespace runhv::agent
