// WHP_TRACE=FILE: every call of the client, with its arguments and its results, as a line of text.
#pragma once

#include <cstddef>
#include <fstream>
#include <initializer_list>
#include <mutex>
#include <string>
#include <utility>

#include "whpapi/whp.h"

namespace runhv::winhv_linux {

// A thing that the line of a call tells.
struct TraceItem {
  enum class Kind {
    kNumber,
    kGiven,  // bytes of the client's
    kGot     // bytes that the client has where the call succeeds
  };
  const char* name;
  Kind kind;
  UINT64 number;
  const void* bytes;
  std::size_t size;
  const UINT32* written;  // how many of `size` these are then; null: all
};

inline TraceItem number(const char* name, UINT64 value) {
  return {name, TraceItem::Kind::kNumber, value, nullptr, 0, nullptr};
}
inline TraceItem handle_of(const void* handle) {
  return number("partition", reinterpret_cast<UINT64>(handle));
}
inline TraceItem given(const char* name, const void* bytes, std::size_t size) {
  return {name, TraceItem::Kind::kGiven, 0, bytes, size, nullptr};
}
inline TraceItem got(const char* name, const void* bytes, std::size_t size,
                     const UINT32* written = nullptr) {
  return {name, TraceItem::Kind::kGot, 0, bytes, size, written};
}

// Of this many bytes of an item the line tells.
inline constexpr std::size_t kTracedBytes = 4096;

// A line is "SECONDS THREAD CALL NAME=VALUE… -> HRESULT NAME=VALUE…": seconds since the first one,
// when the call began; threads by numbers from 1 on; numbers and bytes in hexadecimal, the first
// with 0x before them. Lines stand in the order in which their calls ended. Threads: any.
class Trace {
 public:
  // Null where the environment does not ask for it, and, with a line on stderr, where the file
  // cannot be opened. What the file holds already stays.
  static Trace* opened();

  explicit Trace(std::ofstream file);

  // The line of a call as far as it is known before the call is made; the rest of it.
  std::string begun(const char* call, std::initializer_list<TraceItem> items) const;
  void ended(std::string line, HRESULT result, std::initializer_list<TraceItem> items);

 private:
  const UINT64 start_ns_;
  std::mutex mutex_;  // of the next
  std::ofstream file_;
};

// What `body` returns. Given bytes are read before `body` has looked at them.
template <class Body>
HRESULT traced(const char* call, std::initializer_list<TraceItem> items, Body body) {
  Trace* const trace = Trace::opened();
  if (trace == nullptr) return body();
  std::string line = trace->begun(call, items);
  const HRESULT result = body();
  trace->ended(std::move(line), result, items);
  return result;
}

}  // namespace runhv::winhv_linux
