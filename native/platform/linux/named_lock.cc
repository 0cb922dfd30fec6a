#include "platform/named_lock.h"

#include <cerrno>
#include <cinttypes>
#include <cstddef>
#include <cstdio>
#include <cstring>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "platform/os_error.h"

namespace runhv {
namespace {

std::uint64_t fnv1a(const std::string& text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

// unix(7): a leading NUL makes the address abstract: no file, and free when its socket closes. It
// holds 108 bytes: of a longer name the beginning and a hash, behind a '/' that no name has.
std::string abstract_address(const std::string& name) {
  const std::string whole = std::string(1, '\0') + "runhv/" + std::to_string(::getuid()) + "/";
  if (whole.size() + name.size() <= sizeof(sockaddr_un::sun_path)) return whole + name;
  char hash[20];
  std::snprintf(hash, sizeof hash, "/%016" PRIx64, fnv1a(name));
  return whole + name.substr(0, 64) + hash;
}

}  // namespace

Result<NamedLock> NamedLock::acquire(const std::string& name) {
  const std::string operation = "take the name " + name;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string abstract = abstract_address(name);
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
