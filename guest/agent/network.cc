#include "network.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "request.h"
#include "sys.h"
#include "text.h"

namespace runhv::agent {
namespace {

// Interfaces behind the last one of ours that are looked at: each has an index of its own.
constexpr int kMoreIndices = 64;
constexpr std::size_t kMaxMessageBytes = 1024;
constexpr const char* kSys = "/network";

// Of the interfaces by number; 0 = there is none. They outlive a call: an interface that was set up
// has another address than its device.
struct Indices {
  int of[RUNHV_MAX_NETWORKS] = {};
  int last = 0;
} indices;

// Before an address is changed.
void find_devices(int socket) {
  const unsigned char ours[6] = RUNHV_NETWORK_MAC;
  const int last = indices.last + kMoreIndices;
  for (int index = 1; index <= last; ++index) {
    ifreq request = {};
    request.ifr_ifindex = index;
    if (sys::ioctl(socket, SIOCGIFNAME, &request) < 0 ||
        sys::ioctl(socket, SIOCGIFHWADDR, &request) < 0) {
      continue;
    }
    const char* mac = request.ifr_hwaddr.sa_data;
    const unsigned number = static_cast<unsigned char>(mac[5]);
    if (memcmp(mac, ours, 5) != 0 || number >= RUNHV_MAX_NETWORKS) continue;
    indices.of[number] = index;
    indices.last = index;
  }
}

// The driver looks at a place of a device only when it is told to.
long tell_driver(const char* path, const runhv_network_slot& slot) {
  const int file = sys::open(path, O_WRONLY);
  if (file < 0) return file;
  const Text<32> name = Text<32>("virtio-mmio.").add_number(slot.device);
  const long result = sys::write(file, name.c_str(), name.size());
  sys::close(file);
  return result < 0 ? result : 0;
}

bool change_device(const runhv_network_slot& slot, int socket, Failure& failure) {
  sys::mkdir(kSys, 0700);
  long result = sys::mount("sysfs", kSys, "sysfs", 0, nullptr);
  // The container's own mount of it, which is read-only, may have made all of it so.
  if (result == 0) result = sys::mount(nullptr, kSys, nullptr, MS_REMOUNT, nullptr);
  if (result < 0) return failure.set(result, "mount sysfs");
  result = tell_driver(slot.present != 0 ? "/network/bus/platform/drivers/virtio-mmio/bind"
                                         : "/network/bus/platform/drivers/virtio-mmio/unbind",
                       slot);
  sys::umount(kSys);
  if (result < 0) {
    return failure.set(result, slot.present != 0 ? "take a network device that has come"
                                                 : "let go of a network device that has gone");
  }
  indices.of[slot.interface] = 0;
  if (slot.present != 0) find_devices(socket);
  return true;
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

bool send_message(const NetlinkRecord& netlink, int socket, Failure& failure) {
  const int index = indices.of[netlink.head.interface];
  if (index == 0) return failure.set(-ENODEV, netlink.what);
  std::byte message[kMaxMessageBytes];
  if (netlink.message.size() > sizeof message) return failure.set(-E2BIG, netlink.what);
  memcpy(message, netlink.message.data(), netlink.message.size());
  memcpy(message + netlink.head.index_offset, &index, sizeof index);
  const long result = say(socket, message, netlink.message.size());
  // With an address the kernel removes others and routes of itself, as that of the host has.
  nlmsghdr header;
  memcpy(&header, message, sizeof header);
  const bool removes = (header.nlmsg_type & 3) == 1;  // rtnetlink(7): RTM_DEL…
  const bool had_gone = result == -EADDRNOTAVAIL || result == -ESRCH || result == -ENOENT;
  return result == 0 || (removes && had_gone) || failure.set(result, netlink.what);
}

// Into the network namespace of process `pid`, as the caller sees it.
long move(int socket, int index, std::uint32_t pid) {
  struct {
    nlmsghdr header;
    ifinfomsg link;
    rtattr attribute;
    std::uint32_t pid;
    rtattr name_attribute;
    char name[8];
  } message = {};
  message.header.nlmsg_len = sizeof message;
  message.header.nlmsg_type = RTM_NEWLINK;
  message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  message.link.ifi_index = index;
  message.attribute.rta_len = RTA_LENGTH(sizeof message.pid);
  message.attribute.rta_type = IFLA_NET_NS_PID;
  message.pid = pid;
  // Where somebody there has its name, which it loses to its own one then.
  message.name_attribute.rta_len = RTA_LENGTH(sizeof message.name);
  message.name_attribute.rta_type = IFLA_IFNAME;
  memcpy(message.name, "come%d", sizeof "come%d");
  return say(socket, reinterpret_cast<const std::byte*>(&message), sizeof message);
}

// One that has come; it may have another index there.
bool bring(int socket, const NetlinkRecord& netlink, int pid, int there, Failure& failure) {
  const int index = indices.of[netlink.head.interface];
  const long result = index == 0 ? -ENODEV : move(socket, index, static_cast<std::uint32_t>(pid));
  if (result < 0) return failure.set(result, "bring an interface in, to ", netlink.what);
  indices.of[netlink.head.interface] = 0;
  find_devices(there);
  return true;
}

// The interfaces that the records are about.
bool move_all(int socket, std::span<const std::byte> records, std::uint32_t pid, Failure& failure) {
  bool moved[RUNHV_MAX_NETWORKS] = {};
  return for_each(records, RUNHV_REC_NETLINK, [&](const Record& record) {
    NetlinkRecord netlink;
    decode(record, netlink);
    const std::uint32_t interface = netlink.head.interface;
    if (moved[interface]) return true;
    moved[interface] = true;
    const int index = indices.of[interface];
    const long result = index == 0 ? -ENODEV : move(socket, index, pid);
    return result == 0 || failure.set(result, "bring an interface in, to ", netlink.what);
  });
}

}  // namespace

bool give_network(std::span<const std::byte> records, int pid, Failure& failure) {
  const int socket = sys::socket(AF_NETLINK, SOCK_RAW);
  if (socket < 0) return failure.set(socket, "open a socket of rtnetlink");
  if (indices.last == 0) find_devices(socket);
  const bool done = move_all(socket, records, static_cast<std::uint32_t>(pid), failure);
  sys::close(socket);
  return done;
}

bool move_network(std::span<const std::byte> records, Failure& failure) {
  // It stays one of the agent's namespace.
  const int socket = sys::socket(AF_NETLINK, SOCK_RAW);
  if (socket < 0) return failure.set(socket, "open a socket of rtnetlink");
  const long made = sys::unshare(CLONE_NEWNET);
  const bool done = made < 0 ? failure.set(made, "make the container's network namespace")
                             : move_all(socket, records, 1, failure);
  sys::close(socket);
  return done;
}

bool configure_network(std::span<const std::byte> records, Failure& failure) {
  return configure_network_of(0, -1, records, failure);
}

bool configure_network_of(int pid, int there, std::span<const std::byte> records,
                          Failure& failure) {
  const int socket = sys::socket(AF_NETLINK, SOCK_RAW);  // protocol 0 is NETLINK_ROUTE
  if (socket < 0) return failure.set(socket, "open a socket of rtnetlink");
  if (indices.last == 0) find_devices(socket);
  RecordReader reader(records);
  Record record;
  // A device that nothing is said of is another container's.
  bool has_come[RUNHV_MAX_NETWORKS] = {};
  bool done = true;
  while (done && reader.next(record)) {
    if (record.tag == RUNHV_REC_NETLINK) {
      NetlinkRecord netlink;
      decode(record, netlink);
      bool& comes = has_come[netlink.head.interface];
      done = pid == 0 || !comes || bring(socket, netlink, pid, there, failure);
      comes = false;
      done = done && send_message(netlink, pid == 0 ? socket : there, failure);
    } else if (record.tag == RUNHV_REC_NETWORK_SLOT) {
      runhv_network_slot slot;
      decode(record, slot);
      done = change_device(slot, socket, failure);
      has_come[slot.interface] = slot.present != 0;
    }
  }
  sys::close(socket);
  return done;
}

}  // namespace runhv::agent
