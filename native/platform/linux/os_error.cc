#include "platform/os_error.h"

#include <cerrno>
#include <cstring>

namespace runhv::platform {
namespace {

Code code_of(int os_code) {
  switch (os_code) {
    case EINVAL:
    case ENAMETOOLONG:
    case EISDIR:
    case ENOTDIR:
    case ELOOP:
      return Code::kInvalidArgument;
    case ENOENT:
      return Code::kNotFound;
    case EEXIST:
    case EBUSY:
    case EADDRINUSE:
    case ETXTBSY:
      return Code::kConflict;
    case ENOSYS:
    case EOPNOTSUPP:
      return Code::kUnsupported;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kAccessDenied;
    case ENOMEM:
      return Code::kOutOfMemory;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return Code::kNoSpace;
    case ETIMEDOUT:
      return Code::kTimedOut;
    default:
      return Code::kHostFailed;
  }
}

// strerror_r comes in two kinds; this one takes whichever the C library has.
[[maybe_unused]] const char* text_of(int result, const char* buffer) {
  return result == 0 ? buffer : "unknown error";
}
[[maybe_unused]] const char* text_of(const char* result, const char*) { return result; }

}  // namespace

Error os_error(std::string operation, std::int64_t os_code) {
  char buffer[128] = "";
  const int number = static_cast<int>(os_code);
  const char* text = text_of(::strerror_r(number, buffer, sizeof buffer), buffer);
  return {code_of(number), std::move(operation), text, Domain::kErrno, os_code};
}

Error last_os_error(std::string operation) { return os_error(std::move(operation), errno); }

}  // namespace runhv::platform
