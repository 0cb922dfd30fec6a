// What went wrong, in one value that reaches the user unchanged.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace runhv {

// The vocabulary of failures. Stable: the values are those of runhv_code in runhv/runhv.h.
enum class Code : std::int32_t {
  kInvalidArgument = 1,  // the caller asked for something that cannot be
  kNotFound = 2,         // a file, an engine, a library that is not there
  kConflict = 3,         // a name or a resource is taken
  kCorruptInput = 4,     // bytes from outside (kernel, config, guest) that break their format
  kUnsupported = 5,      // a valid request that this version or this host cannot serve
  kAccessDenied = 6,
  kOutOfMemory = 7,
  kNoSpace = 8,
  kHypervisorAbsent = 9,  // no engine, or WHP is off
  kGuestFailed = 10,      // the guest crashed, lied or ended without a status
  kTimedOut = 11,
  kClosed = 12,      // used after close, or with a stale handle
  kHostFailed = 13,  // the operating system refused for another reason
};

// Whose number os_code is.
enum class Domain : std::int32_t {
  kNone = 0,
  kErrno = 1,
  kWin32 = 2,
  kHresult = 3,
  kGuestErrno = 4
};

struct Error {
  Code code;
  std::string operation;  // what was attempted, on what: "open kernel /boot/vmlinux"
  std::string detail;     // why it failed and what to do; may be empty
  Domain domain = Domain::kNone;
  std::int64_t os_code = 0;  // raw, as the system gave it
};

std::string_view code_name(Code code);

// One line for people: "operation: detail (errno 2)".
std::string to_string(const Error& error);

}  // namespace runhv
