#include "base/log.h"

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <string>

namespace runhv {
namespace {
std::atomic<DebugSink> debug_sink{nullptr};
}

void set_debug_log(DebugSink sink) { debug_sink.store(sink, std::memory_order_relaxed); }

void debug_log(const char* area, const char* format, ...) {
  const DebugSink sink = debug_sink.load(std::memory_order_relaxed);
  if (sink == nullptr) return;
  char line[512];
  int used = std::snprintf(line, sizeof line, "runhv: debug: %s: ", area);
  if (used < 0) return;
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line + used, sizeof line - static_cast<std::size_t>(used), format, arguments);
  va_end(arguments);
  sink(std::string(line) + "\n");
}

}  // namespace runhv
