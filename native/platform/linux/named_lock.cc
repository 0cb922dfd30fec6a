#include "platform/named_lock.h"

#include <cerrno>
#include <cstddef>
#include <cstring>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "platform/os_error.h"

namespace runhv {

Result<NamedLock> NamedLock::acquire(const std::string& name) {
  const std::string operation = "take the name " + name;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // unix(7): a leading NUL makes the address abstract: no file, and free when its socket closes.
  const std::string abstract =
      std::string(1, '\0') + "runhv/" + std::to_string(::getuid()) + "/" + name;
  if (abstract.size() > sizeof address.sun_path) {
    return Fail{Error{Code::kInvalidArgument, operation, "the name is too long"}};
  }
  std::memcpy(address.sun_path, abstract.data(), abstract.size());

  UniqueHandle handle(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!handle.is_open()) return Fail{last_os_error(operation)};
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + abstract.size());
  if (::bind(static_cast<int>(handle.get()), reinterpret_cast<const sockaddr*>(&address), length) !=
      0) {
    Error error = last_os_error(operation);
    if (error.os_code == EADDRINUSE) error.detail = "it is in use";
    return Fail{std::move(error)};
  }
  return NamedLock(std::move(handle));
}

}  // namespace runhv
