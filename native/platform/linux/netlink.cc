#include "platform/linux/netlink.h"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include <linux/netlink.h>
#include <sys/socket.h>

#include "platform/os_error.h"

namespace runhv::platform {
namespace {

// A dump's answers come in pieces of at most so many bytes (netlink(7)).
constexpr std::size_t kAnswerBytes = 64 * 1024;

std::size_t aligned(std::size_t size) { return (size + NLMSG_ALIGNTO - 1) & ~(NLMSG_ALIGNTO - 1u); }

}  // namespace

Result<Netlink> Netlink::open() {
  UniqueHandle socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket.is_open()) return Fail{last_os_error("open a socket of rtnetlink")};
  return Netlink(std::move(socket));
}

Result<UniqueHandle> Netlink::open_events(std::uint32_t groups) {
  UniqueHandle socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (!socket.is_open() ||
      ::bind(static_cast<int>(socket.get()), reinterpret_cast<const sockaddr*>(&address),
             sizeof address) != 0) {
    return Fail{last_os_error("listen to events of rtnetlink")};
  }
  return socket;
}

Result<void> Netlink::request(NetlinkMessage message, const std::string& operation) {
  return dump(std::move(message), operation, [](std::uint16_t, std::span<const std::byte>) {});
}

Result<void> Netlink::dump(NetlinkMessage message, const std::string& operation,
                           const Answer& answer) {
  const int socket = static_cast<int>(socket_.get());
  const std::uint32_t sequence = ++sequence_;
  store_le(message.bytes(), offsetof(nlmsghdr, nlmsg_seq), sequence);
  if (::send(socket, message.bytes().data(), message.size(), 0) < 0) {
    return Fail{last_os_error(operation)};
  }
  std::vector<std::byte> buffer(kAnswerBytes);
  for (;;) {
    const ssize_t size = ::recv(socket, buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return Fail{last_os_error(operation)};
    std::span<const std::byte> rest(buffer.data(), static_cast<std::size_t>(size));
    while (rest.size() >= NetlinkMessage::kHeaderBytes) {
      const std::size_t length = load_le<std::uint32_t>(rest, offsetof(nlmsghdr, nlmsg_len));
      if (length < NetlinkMessage::kHeaderBytes || length > rest.size()) break;
      const auto type = load_le<std::uint16_t>(rest, offsetof(nlmsghdr, nlmsg_type));
      const bool ours = load_le<std::uint32_t>(rest, offsetof(nlmsghdr, nlmsg_seq)) == sequence;
      const auto body =
          rest.subspan(NetlinkMessage::kHeaderBytes, length - NetlinkMessage::kHeaderBytes);
      rest = rest.subspan(std::min(aligned(length), rest.size()));
      if (!ours) continue;
      if (type == NLMSG_DONE) return {};
      if (type == NLMSG_ERROR) {
        const auto code = load_le<std::int32_t>(body);
        if (code == 0) return {};
        return Fail{os_error(operation, -code)};
      }
      answer(type, body);
    }
  }
}

void for_each_attribute(
    std::span<const std::byte> bytes,
    const std::function<void(std::uint16_t type, std::span<const std::byte> value)>& each) {
  while (bytes.size() >= sizeof(nlattr)) {
    const std::size_t length = load_le<std::uint16_t>(bytes, offsetof(nlattr, nla_len));
    if (length < sizeof(nlattr) || length > bytes.size()) return;
    const auto type = load_le<std::uint16_t>(bytes, offsetof(nlattr, nla_type));
    each(static_cast<std::uint16_t>(type & NLA_TYPE_MASK),
         bytes.subspan(sizeof(nlattr), length - sizeof(nlattr)));
    bytes = bytes.subspan(std::min(aligned(length), bytes.size()));
  }
}

}  // namespace runhv::platform
