#include "base/error.h"

#include <cinttypes>
#include <cstdio>

namespace runhv {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return "invalid argument";
    case Code::kNotFound:
      return "not found";
    case Code::kConflict:
      return "conflict";
    case Code::kCorruptInput:
      return "corrupt input";
    case Code::kUnsupported:
      return "unsupported";
    case Code::kAccessDenied:
      return "access denied";
    case Code::kOutOfMemory:
      return "out of memory";
    case Code::kNoSpace:
      return "no space";
    case Code::kHypervisorAbsent:
      return "hypervisor absent";
    case Code::kGuestFailed:
      return "guest failed";
    case Code::kTimedOut:
      return "timed out";
    case Code::kClosed:
      return "closed";
    case Code::kHostFailed:
      return "host failed";
  }
  return "unknown";
}

std::string to_string(const Error& error) {
  std::string text = error.operation;
  text += ": ";
  text += error.detail.empty() ? std::string(code_name(error.code)) : error.detail;
  char raw[48] = "";
  switch (error.domain) {
    case Domain::kNone:
      break;
    case Domain::kErrno:
      std::snprintf(raw, sizeof raw, " (errno %" PRId64 ")", error.os_code);
      break;
    case Domain::kWin32:
      std::snprintf(raw, sizeof raw, " (Windows error %" PRId64 ")", error.os_code);
      break;
    case Domain::kHresult:
      std::snprintf(raw, sizeof raw, " (0x%08" PRIx32 ")",
                    static_cast<std::uint32_t>(error.os_code));
      break;
    case Domain::kGuestErrno:
      std::snprintf(raw, sizeof raw, " (errno %" PRId64 " in the guest)", error.os_code);
      break;
  }
  return text + raw;
}

}  // namespace runhv
