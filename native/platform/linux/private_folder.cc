#include "platform/linux/private_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/os_error.h"

namespace runhv::platform {

Result<UniqueHandle> open_private_folder(const std::string& folder, const std::string& operation) {
  UniqueHandle handle(
      ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!handle.is_open()) return Fail{last_os_error(operation)};
  struct stat info {};
  if (::fstat(static_cast<int>(handle.get()), &info) != 0) return Fail{last_os_error(operation)};
  if (info.st_uid != ::geteuid() || (info.st_mode & 077) != 0) {
    return Fail{
        Error{Code::kAccessDenied, operation,
              "folder " + folder + " is not one that only this user may enter (mode 0700)"}};
  }
  return handle;
}

}  // namespace runhv::platform
