#include "platform/tap.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "base/check.h"
#include "platform/linux/io_result.h"
#include "platform/os_error.h"

namespace runhv::platform {
namespace {

constexpr int kHeaderBytes = 12;
constexpr short kKind = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;

// readv(2) and writev(2) of frames.
template <class Byte, class Call>
IoResult transfer(Call call, OsHandle handle, std::span<const std::span<Byte>> parts) {
  std::array<iovec, Tap::kMaxParts> vectors;
  RUNHV_CHECK(parts.size() <= vectors.size());
  for (std::size_t i = 0; i < parts.size(); ++i) {
    vectors[i] = {const_cast<std::byte*>(parts[i].data()), parts[i].size()};
  }
  return io_result(call(static_cast<int>(handle), vectors.data(), static_cast<int>(parts.size())));
}

}  // namespace

Result<Tap> Tap::create(const std::string& name) {
  const std::string operation = "make the network interface " + name;
  RUNHV_CHECK(name.size() < IFNAMSIZ);
  UniqueHandle handle(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!handle.is_open()) return Fail{last_os_error("open /dev/net/tun")};
  const int number = static_cast<int>(handle.get());
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), name.size());
  request.ifr_flags = static_cast<short>(kKind | IFF_TUN_EXCL);
  if (::ioctl(number, TUNSETIFF, &request) != 0) {
    return Fail{last_os_error(operation)};
  }
  const int header_bytes = kHeaderBytes;
  if (::ioctl(number, TUNSETVNETHDRSZ, &header_bytes) != 0) {
    return Fail{last_os_error(operation)};
  }
  return Tap(std::move(handle));
}

Result<Tap> Tap::adopt_owned(UniqueHandle handle) {
  const int number = static_cast<int>(handle.get());
  const auto wrong = [](const char* what) {
    return Fail{Error{Code::kInvalidArgument, "take a tap", what}};
  };
  ifreq request{};
  if (::ioctl(number, TUNGETIFF, &request) != 0) return wrong("the descriptor is none");
  int header_bytes = 0;
  const int status = ::fcntl(number, F_GETFL);
  if ((request.ifr_flags & kKind) != kKind || (status & O_NONBLOCK) == 0 ||
      ::ioctl(number, TUNGETVNETHDRSZ, &header_bytes) != 0 || header_bytes != kHeaderBytes) {
    return wrong("its frames are not those of Tap::create()");
  }
  return Tap(std::move(handle));
}

Result<void> Tap::leave_to_reader(bool checksum, bool tcp4, bool tcp6) {
  const unsigned long offloads =
      (checksum ? TUN_F_CSUM : 0u) | (tcp4 ? TUN_F_TSO4 : 0u) | (tcp6 ? TUN_F_TSO6 : 0u);
  if (::ioctl(static_cast<int>(handle_.get()), TUNSETOFFLOAD, offloads) != 0) {
    return Fail{last_os_error("set the offloads of a tap")};
  }
  return {};
}

IoResult Tap::read(std::span<const std::span<std::byte>> parts) {
  return transfer(::readv, handle_.get(), parts);
}

IoResult Tap::write(std::span<const std::span<const std::byte>> parts) {
  return transfer(::writev, handle_.get(), parts);
}

}  // namespace runhv::platform
