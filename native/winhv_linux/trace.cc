#include "winhv_linux/trace.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <span>

#include "platform/clock.h"
#include "platform/path.h"
#include "platform/process.h"

namespace runhv::winhv_linux {
namespace {

unsigned thread_number() {
  static std::atomic<unsigned> threads{0};
  thread_local const unsigned number = ++threads;
  return number;
}

void append_bytes(std::string& line, const TraceItem& item, std::size_t size) {
  constexpr char kDigits[] = "0123456789abcdef";
  line += std::string(" ") + item.name + "=";
  if (item.bytes == nullptr) return;
  const std::span bytes(static_cast<const unsigned char*>(item.bytes),
                        std::min(size, kTracedBytes));
  for (const unsigned char byte : bytes) {
    line += kDigits[byte >> 4];
    line += kDigits[byte & 15];
  }
  if (size > kTracedBytes) line += "...";
}

// As for WHvGetVirtualProcessorRegisters and others: `written` tells of a buffer that was too
// large.
std::size_t got_bytes(const TraceItem& item) {
  return item.written == nullptr ? item.size : std::min<std::size_t>(item.size, *item.written);
}

std::optional<std::ofstream> open_file() {
  const std::string name = platform::environment("WHP_TRACE");
  if (name.empty()) return std::nullopt;
  std::ofstream file(platform::filesystem_path(name), std::ios::app);
  if (file) return file;
  std::fprintf(stderr, "winhvplatform: WHP_TRACE is \"%s\", which cannot be written: %s\n",
               name.c_str(), std::strerror(errno));
  return std::nullopt;
}

}  // namespace

Trace::Trace(std::ofstream file) : start_ns_(platform::monotonic_ns()), file_(std::move(file)) {}

Trace* Trace::opened() {
  // Leaked on purpose: clients' threads may still call while the process exits.
  static Trace* const trace = [] {
    auto file = open_file();
    return file ? new Trace(std::move(*file)) : nullptr;
  }();
  return trace;
}

std::string Trace::begun(const char* call, std::initializer_list<TraceItem> items) const {
  constexpr double kNsPerSecond = 1e9;
  char text[64];
  std::snprintf(text, sizeof text, "%.6f %u ",
                static_cast<double>(platform::monotonic_ns() - start_ns_) / kNsPerSecond,
                thread_number());
  std::string line = std::string(text) + call;
  for (const TraceItem& item : items) {
    if (item.kind == TraceItem::Kind::kNumber) {
      std::snprintf(text, sizeof text, "=0x%llx", static_cast<unsigned long long>(item.number));
      line += std::string(" ") + item.name + text;
    } else if (item.kind == TraceItem::Kind::kGiven) {
      append_bytes(line, item, item.size);
    }
  }
  return line;
}

void Trace::ended(std::string line, HRESULT result, std::initializer_list<TraceItem> items) {
  char text[32];
  std::snprintf(text, sizeof text, " -> 0x%08x", static_cast<unsigned>(result));
  line += text;
  for (const TraceItem& item : items) {
    if (SUCCEEDED(result) && item.kind == TraceItem::Kind::kGot) {
      append_bytes(line, item, got_bytes(item));
    }
  }
  line += '\n';
  const std::lock_guard lock(mutex_);
  // Flushed, for a process may end at any moment.
  file_ << line << std::flush;
}

}  // namespace runhv::winhv_linux
