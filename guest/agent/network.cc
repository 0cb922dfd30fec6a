#include "network.h"

#include <linux/netlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

#include "sys.h"

namespace runhv::agent {
namespace {

// Interfaces of the guest that are looked at: ours come with the machine.
constexpr int kMaxIndex = 64;
constexpr std::size_t kMaxMessageBytes = 1024;

struct Indices {
  int of[RUNHV_MAX_NETWORKS] = {};  // 0 = no such device
};

// Before an address is changed.
Indices find_devices(int socket) {
  const unsigned char ours[6] = RUNHV_NETWORK_MAC;
  Indices found;
  for (int index = 1; index <= kMaxIndex; ++index) {
    ifreq request = {};
    request.ifr_ifindex = index;
    if (sys::ioctl(socket, SIOCGIFNAME, &request) < 0 ||
        sys::ioctl(socket, SIOCGIFHWADDR, &request) < 0) {
      continue;
    }
    const char* mac = request.ifr_hwaddr.sa_data;
    const unsigned number = static_cast<unsigned char>(mac[5]);
    if (memcmp(mac, ours, 5) == 0 && number < RUNHV_MAX_NETWORKS) found.of[number] = index;
  }
  return found;
}

// The kernel's errno, negative, or 0.
long say(int socket, const std::byte* message, std::size_t size) {
  long result = sys::send(socket, message, size, 0);
  if (result < 0) return result;
  struct {
    nlmsghdr header;
    nlmsgerr error;
  } answer = {};
  result = sys::recv(socket, &answer, sizeof answer, 0);
  if (result < 0) return result;
  return answer.header.nlmsg_type == NLMSG_ERROR ? answer.error.error : -EPROTO;
}

}  // namespace

bool configure_network(const ContainerRequest& container, Failure& failure) {
  if (container.netlink_count == 0) return true;
  const int socket = sys::socket(AF_NETLINK, SOCK_RAW);  // protocol 0 is NETLINK_ROUTE
  if (socket < 0) return failure.set(socket, "open a socket of rtnetlink");
  const Indices indices = find_devices(socket);
  const bool done = for_each(container.records, RUNHV_REC_NETLINK, [&](const Record& record) {
    NetlinkRecord netlink;
    decode(record, netlink);
    const int index = indices.of[netlink.head.interface];
    if (index == 0) return failure.set(-ENODEV, netlink.what);
    std::byte message[kMaxMessageBytes];
    if (netlink.message.size() > sizeof message) return failure.set(-E2BIG, netlink.what);
    memcpy(message, netlink.message.data(), netlink.message.size());
    memcpy(message + netlink.head.index_offset, &index, sizeof index);
    const long result = say(socket, message, netlink.message.size());
    return result == 0 || failure.set(result, netlink.what);
  });
  sys::close(socket);
  return done;
}

}  // namespace runhv::agent
