#include "base/log.h"

#include <atomic>
#include <cstdarg>
#include <cstdio>

namespace runhv {
namespace {
std::atomic<bool> enabled{false};
}

void set_debug_log(bool on) { enabled.store(on, std::memory_order_relaxed); }

void debug_log(const char* area, const char* format, ...) {
  if (!enabled.load(std::memory_order_relaxed)) return;
  char line[512];
  int used = std::snprintf(line, sizeof line, "runhv: debug: %s: ", area);
  if (used < 0) return;
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line + used, sizeof line - static_cast<std::size_t>(used), format, arguments);
  va_end(arguments);
  std::fprintf(stderr, "%s\n", line);
}

}  // namespace runhv
