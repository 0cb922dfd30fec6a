#include "platform/network_namespace.h"

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <sstream>
#include <string_view>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "platform/linux/netlink.h"
#include "platform/os_error.h"
#include "platform/readiness.h"
#include "platform/thread.h"

namespace runhv::platform {
namespace {

// Of our filters: what a machine that was killed has left is found by it. Others' come first.
constexpr std::uint32_t kFilterPriority = 0x5256;
constexpr std::uint32_t kIngress = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);

Fail<Error> unsupported(const std::string& path, std::string detail) {
  return Fail{
      Error{Code::kUnsupported, "take over the network namespace " + path, std::move(detail)}};
}

// --- what the kernel tells -----------------------------------------------------------------------

template <class T>
std::optional<T> take_head(std::span<const std::byte>& body) {
  if (body.size() < sizeof(T)) return std::nullopt;
  T head;
  std::memcpy(&head, body.data(), sizeof head);
  body = body.subspan(std::min(std::size_t{NLMSG_ALIGN(sizeof head)}, body.size()));
  return head;
}

IpAddress ip_address(std::span<const std::byte> value) {
  IpAddress address;
  if (value.size() != 4 && value.size() != 16) return address;
  address.size = static_cast<std::uint8_t>(value.size());
  std::memcpy(address.octets.data(), value.data(), value.size());
  return address;
}

std::uint32_t number(std::span<const std::byte> value) {
  return value.size() == 4 ? load_le<std::uint32_t>(value) : 0;
}

template <class Head>
NetlinkMessage question(std::uint16_t type) {
  return std::move(NetlinkMessage(type, NLM_F_REQUEST | NLM_F_DUMP).head(Head{}));
}

struct Link {
  NetworkInterface interface;
  bool is_up = false;
  bool is_loopback = false;
  bool is_ethernet = false;
};

Link read_link(std::span<const std::byte> body) {
  Link link;
  const auto head = take_head<ifinfomsg>(body);
  if (!head) return link;
  link.is_up = (head->ifi_flags & IFF_UP) != 0;
  link.is_loopback = (head->ifi_flags & IFF_LOOPBACK) != 0;
  link.is_ethernet = head->ifi_type == ARPHRD_ETHER;
  NetworkInterface& interface = link.interface;
  interface.index = static_cast<std::uint32_t>(head->ifi_index);
  for_each_attribute(body, [&](std::uint16_t type, std::span<const std::byte> value) {
    if (type == IFLA_IFNAME) {
      const std::string_view text(reinterpret_cast<const char*>(value.data()), value.size());
      interface.name = text.substr(0, text.find('\0'));
    } else if (type == IFLA_MTU) {
      interface.mtu = number(value);
    } else if (type == IFLA_ADDRESS && value.size() == interface.mac.size()) {
      std::memcpy(interface.mac.data(), value.data(), value.size());
    }
  });
  return link;
}

// With the index of its interface.
std::pair<std::uint32_t, NetworkAddress> read_address(std::span<const std::byte> body) {
  NetworkAddress address;
  const auto head = take_head<ifaddrmsg>(body);
  if (!head) return {0, address};
  address.prefix_bits = head->ifa_prefixlen;
  address.scope = head->ifa_scope;
  address.flags = head->ifa_flags;
  for_each_attribute(body, [&](std::uint16_t type, std::span<const std::byte> value) {
    if (type == IFA_ADDRESS) address.peer = ip_address(value);
    if (type == IFA_LOCAL) address.local = ip_address(value);
    if (type == IFA_BROADCAST) address.broadcast = ip_address(value);
    if (type == IFA_FLAGS) address.flags = number(value);
    if (type == IFA_CACHEINFO && value.size() >= sizeof(ifa_cacheinfo)) {
      address.preferred_s = load_le<std::uint32_t>(value, offsetof(ifa_cacheinfo, ifa_prefered));
      address.valid_s = load_le<std::uint32_t>(value, offsetof(ifa_cacheinfo, ifa_valid));
    }
  });
  if (!address.local.present()) address.local = address.peer;  // of IPv6, without a peer
  return {head->ifa_index, address};
}

struct RouteAnswer {
  NetworkRoute route;
  std::uint32_t index = 0;  // of the interface
  std::uint32_t table = 0;
  std::string odd;  // what no guest is given; empty: nothing
};

RouteAnswer read_route(std::span<const std::byte> body) {
  RouteAnswer answer;
  const auto head = take_head<rtmsg>(body);
  if (!head) return answer;
  NetworkRoute& route = answer.route;
  route.address_bytes = head->rtm_family == AF_INET6 ? 16 : 4;
  route.prefix_bits = head->rtm_dst_len;
  route.scope = head->rtm_scope;
  route.type = head->rtm_type;
  route.protocol = head->rtm_protocol;
  route.service = head->rtm_tos;
  route.flags = head->rtm_flags & RTNH_F_ONLINK;
  answer.table = head->rtm_table;
  if (head->rtm_type != RTN_UNICAST) answer.odd = "no unicast route";
  if (head->rtm_src_len != 0) answer.odd = "a route by source";
  for_each_attribute(body, [&](std::uint16_t type, std::span<const std::byte> value) {
    if (type == RTA_TABLE) answer.table = number(value);
    if (type == RTA_OIF) answer.index = number(value);
    if (type == RTA_DST) route.destination = ip_address(value);
    if (type == RTA_GATEWAY) route.gateway = ip_address(value);
    if (type == RTA_PREFSRC) route.source = ip_address(value);
    if (type == RTA_PRIORITY) route.priority = number(value);
    if (type == RTA_MULTIPATH || type == RTA_NH_ID) answer.odd = "a route with several next hops";
    if (type == RTA_ENCAP) answer.odd = "a route into a tunnel";
    if (type == RTA_VIA) answer.odd = "a route by a gateway of another family";
    if (type != RTA_METRICS) return;
    for_each_attribute(value, [&](std::uint16_t metric, std::span<const std::byte> amount) {
      if (metric == RTAX_CC_ALGO) {
        answer.odd = "a route with a congestion control of its own";
      } else {
        route.metrics.emplace_back(metric, number(amount));
      }
    });
  });
  return answer;
}

// The guest's kernel makes these itself, of addresses and of what routers say.
bool comes_by_itself(const NetworkRoute& route) {
  return route.protocol == RTPROT_KERNEL || route.protocol == RTPROT_RA;
}

// --- what the kernel is to do --------------------------------------------------------------------

constexpr std::uint16_t kDo = NLM_F_REQUEST | NLM_F_ACK;

NetlinkMessage traffic_control(std::uint16_t type, std::uint16_t flags, std::uint32_t index,
                               std::uint32_t parent, std::uint32_t handle, std::uint32_t info) {
  tcmsg head{};
  head.tcm_family = AF_UNSPEC;
  head.tcm_ifindex = static_cast<int>(index);
  head.tcm_parent = parent;
  head.tcm_handle = handle;
  head.tcm_info = info;
  return std::move(NetlinkMessage(type, static_cast<std::uint16_t>(kDo | flags)).head(head));
}

NetlinkMessage qdisc(std::uint16_t type, std::uint16_t flags, std::uint32_t index) {
  return std::move(traffic_control(type, flags, index, TC_H_INGRESS, TC_H_MAKE(TC_H_INGRESS, 0), 0)
                       .attribute(TCA_KIND, std::string("ingress")));
}

NetlinkMessage filter(std::uint16_t type, std::uint16_t flags, std::uint32_t index) {
  return traffic_control(type, flags, index, kIngress, 0,
                         TC_H_MAKE(kFilterPriority << 16, htons(ETH_P_ALL)));
}

// Every frame that arrives at `from` leaves by `to`.
NetlinkMessage redirection(std::uint32_t from, std::uint32_t to) {
  std::array<std::byte, sizeof(tc_u32_sel)> all{};  // no key: every frame
  store_le<std::uint8_t>(all, offsetof(tc_u32_sel, flags), TC_U32_TERMINAL);
  tc_mirred action{};
  action.action = TC_ACT_STOLEN;
  action.eaction = TCA_EGRESS_REDIR;
  action.ifindex = to;
  NetlinkMessage message = filter(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, from);
  message.attribute(TCA_KIND, std::string("u32")).nested(TCA_OPTIONS, [&](NetlinkMessage& options) {
    options.attribute(TCA_U32_SEL, all);
    options.nested(TCA_U32_ACT, [&](NetlinkMessage& actions) {
      actions.nested(1, [&](NetlinkMessage& first) {
        first.attribute(TCA_ACT_KIND, std::string("mirred"));
        first.nested(TCA_ACT_OPTIONS, [&](NetlinkMessage& how) {
          how.attribute(TCA_MIRRED_PARMS, std::as_bytes(std::span(&action, 1)));
        });
      });
    });
  });
  return message;
}

NetlinkMessage link_change(std::uint32_t index, std::uint32_t flags) {
  ifinfomsg head{};
  head.ifi_family = AF_UNSPEC;
  head.ifi_index = static_cast<int>(index);
  head.ifi_flags = head.ifi_change = flags;
  return std::move(NetlinkMessage(RTM_NEWLINK, kDo).head(head));
}

// --- namespaces ----------------------------------------------------------------------------------

// Whether two paths name one namespace; nothing where one cannot be looked at.
std::optional<bool> is_same(int namespace_fd, const char* other) {
  struct stat ours {};
  struct stat theirs {};
  if (::fstat(namespace_fd, &ours) != 0 || ::stat(other, &theirs) != 0) return std::nullopt;
  return ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

// Runs `work` on a thread in the namespace: a thread's is its own, and this process stays where it
// is.
template <class T>
Result<T> run_in(const UniqueHandle& space, const std::string& path,
                 const std::function<Result<T>()>& work) {
  const int number = static_cast<int>(space.get());
  std::optional<Result<T>> result;
  RUNHV_TRY_ASSIGN(Thread thread, Thread::start("netns", [&] {
                     const bool inside =
                         is_same(number, "/proc/thread-self/ns/net").value_or(false);
                     if (!inside && ::setns(number, CLONE_NEWNET) != 0) {
                       result = Fail{last_os_error("enter the network namespace " + path)};
                       return;
                     }
                     result = work();
                   }));
  thread.join();
  return *std::move(result);
}

// Whether a UDP socket of the calling thread's namespace is bound to the address (proc(5),
// /proc/net/udp: in hexadecimal, as the kernel's word in memory).
bool is_bound(const std::array<std::uint8_t, 4>& address) {
  std::uint32_t word = 0;
  std::memcpy(&word, address.data(), sizeof word);
  std::array<char, 10> wanted;
  std::snprintf(wanted.data(), wanted.size(), "%08" PRIX32 ":", word);
  std::ifstream table("/proc/thread-self/net/udp");
  for (std::string line; std::getline(table, line);) {
    std::istringstream fields(line);
    std::string number, local;
    if (fields >> number >> local && local.starts_with(wanted.data())) return true;
  }
  return false;
}

Result<Stream> connected_socket(bool datagrams, const std::array<std::uint8_t, 4>& address,
                                std::uint16_t port) {
  UniqueHandle socket(
      ::socket(AF_INET, (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  std::memcpy(&to.sin_addr, address.data(), address.size());
  if (!socket.is_open() || (::connect(static_cast<int>(socket.get()),
                                      reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 &&
                            errno != EINPROGRESS)) {
    return Fail{last_os_error("connect to the resolver of a network namespace")};
  }
  return Stream::adopt_owned(std::move(socket), true);
}

}  // namespace

class TakenNetwork::Kernel {
 public:
  Kernel(UniqueHandle space, std::string path, Netlink netlink, UniqueHandle events)
      : space_(std::move(space)),
        path_(std::move(path)),
        netlink_(std::move(netlink)),
        events_(std::move(events)) {}
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  ~Kernel() {
    for (const Redirected& each : redirected_) undo(each);
  }

  // In the namespace.
  static Result<TakenNetwork> take(UniqueHandle space, const std::string& path) {
    RUNHV_TRY_ASSIGN(Netlink netlink, Netlink::open());
    RUNHV_TRY_ASSIGN(UniqueHandle events, Netlink::open_events(kEvents));
    auto kernel =
        std::make_unique<Kernel>(std::move(space), path, std::move(netlink), std::move(events));
    RUNHV_TRY_ASSIGN(std::vector<NetworkInterface> interfaces, kernel->interfaces());
    std::vector<Part> parts;
    for (NetworkInterface& interface : interfaces) {
      RUNHV_TRY_ASSIGN(Tap tap, kernel->redirect(interface));
      parts.push_back({std::move(interface), std::move(tap)});
    }
    return TakenNetwork(std::move(kernel), std::move(parts));
  }

  template <class T>
  Result<T> run(const std::function<Result<T>()>& work) const {
    return run_in<T>(space_, path_, work);
  }

  Result<void> bind(EventLoop& loop) { return readiness_.bind(loop, events_.get()); }
  void on_change(Handler handler) { readiness_.on_readable(std::move(handler)); }
  // What it tells is that something has happened: what there is is asked for.
  void forget_events() const {
    std::array<std::byte, 4096> event;
    ssize_t size = 0;
    // ENOBUFS: there were more than it can hold.
    do {
      size = ::recv(static_cast<int>(events_.get()), event.data(), event.size(), MSG_TRUNC);
    } while (size > 0 || (size < 0 && (errno == EINTR || errno == ENOBUFS)));
  }

  Result<std::vector<NetworkInterface>> interfaces();
  // In the namespace.
  Result<Tap> redirect(const NetworkInterface& interface);
  void give_back(std::uint32_t index) {
    std::erase_if(redirected_, [&](const Redirected& each) {
      if (each.index == index) undo(each);
      return each.index == index;
    });
  }

 private:
  struct Redirected {
    std::uint32_t index;
    bool has_our_qdisc;
  };
  // Of links, addresses and routes.
  static constexpr std::uint32_t kEvents = RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR |
                                           RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR |
                                           RTMGRP_IPV6_ROUTE;

  // Where the interface has gone, nothing is left to undo.
  void undo(const Redirected& redirected) {
    (void)netlink_.request(filter(RTM_DELTFILTER, 0, redirected.index), "");
    if (redirected.has_our_qdisc) {
      (void)netlink_.request(qdisc(RTM_DELQDISC, 0, redirected.index), "");
    }
  }
  // Whether the qdisc was not there before.
  Result<bool> add_qdisc(std::uint32_t index, const std::string& operation);

  const UniqueHandle space_;
  const std::string path_;
  Netlink netlink_;
  std::vector<Redirected> redirected_;
  const UniqueHandle events_;
  Readiness readiness_;
};

Result<std::vector<NetworkInterface>> TakenNetwork::Kernel::interfaces() {
  const std::string operation = "read the network namespace " + path_;
  std::vector<NetworkInterface> found;
  std::string odd;
  RUNHV_TRY(
      netlink_.dump(question<ifinfomsg>(RTM_GETLINK), operation, [&](std::uint16_t, auto body) {
        Link link = read_link(body);
        // Another machine's tap is not what it has taken.
        if (!link.is_up || link.is_loopback || link.interface.name.starts_with(kTapPrefix)) return;
        if (!link.is_ethernet) odd = "its interface " + link.interface.name + ", no Ethernet";
        // As a device tells it (virtio 1.2 §5.1.4).
        if (link.interface.mtu > UINT16_MAX) {
          odd = "its interface " + link.interface.name + " with an MTU of more than 65535";
        }
        found.push_back(std::move(link.interface));
      }));
  const auto owner = [&](std::uint32_t index) {
    const auto at = std::ranges::find(found, index, &NetworkInterface::index);
    return at == found.end() ? nullptr : &*at;
  };
  RUNHV_TRY(
      netlink_.dump(question<ifaddrmsg>(RTM_GETADDR), operation, [&](std::uint16_t, auto body) {
        const auto [index, address] = read_address(body);
        if (NetworkInterface* const interface = owner(index)) {
          interface->addresses.push_back(address);
        }
      }));
  RUNHV_TRY(netlink_.dump(question<rtmsg>(RTM_GETROUTE), operation, [&](std::uint16_t, auto body) {
    RouteAnswer answer = read_route(body);
    if (answer.table != RT_TABLE_MAIN || comes_by_itself(answer.route)) return;
    NetworkInterface* const interface = owner(answer.index);
    if (interface == nullptr && answer.odd.empty()) answer.odd = "a route by no interface";
    if (!answer.odd.empty()) {
      odd = answer.odd;
      return;
    }
    interface->routes.push_back(std::move(answer.route));
  }));
  RUNHV_TRY(netlink_.dump(question<ndmsg>(RTM_GETNEIGH), operation, [&](std::uint16_t, auto body) {
    const auto head = take_head<ndmsg>(body);
    if (!head || (head->ndm_state & NUD_PERMANENT) == 0 || head->ndm_type != RTN_UNICAST) return;
    NetworkInterface* const interface = owner(static_cast<std::uint32_t>(head->ndm_ifindex));
    if (interface == nullptr) return;
    NetworkNeighbour neighbour;
    bool has_mac = false;
    for_each_attribute(body, [&](std::uint16_t type, std::span<const std::byte> value) {
      if (type == NDA_DST) neighbour.address = ip_address(value);
      if (type == NDA_LLADDR && value.size() == neighbour.mac.size()) {
        std::memcpy(neighbour.mac.data(), value.data(), value.size());
        has_mac = true;
      }
    });
    if (neighbour.address.present() && has_mac) interface->neighbours.push_back(neighbour);
  }));
  if (!odd.empty()) return unsupported(path_, "no micro-VM can be given " + odd);
  return found;
}

Result<bool> TakenNetwork::Kernel::add_qdisc(std::uint32_t index, const std::string& operation) {
  auto added = netlink_.request(qdisc(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, index), operation);
  if (added) return true;
  if (added.error().os_code == EEXIST) return false;
  return Fail{std::move(added).error()};
}

Result<Tap> TakenNetwork::Kernel::redirect(const NetworkInterface& interface) {
  const std::string name = std::string(kTapPrefix) + std::to_string(interface.index);
  auto tap = Tap::create(name);
  if (!tap && tap.error().code == Code::kConflict) {
    return Fail{Error{Code::kConflict, "take over the network namespace " + path_,
                      "another micro-VM has its interface " + interface.name +
                          "; micro-VMs cannot share a network namespace"}};
  }
  if (!tap) return tap;
  const std::string operation = "redirect the interface " + interface.name + " of " + path_;
  const unsigned tap_index = ::if_nametoindex(name.c_str());
  // Without IPv6 in the kernel there is nothing to be kept from getting an address.
  NetlinkMessage no_address = link_change(tap_index, 0);
  no_address.nested(IFLA_AF_SPEC, [](NetlinkMessage& families) {
    families.nested(AF_INET6, [](NetlinkMessage& six) {
      six.attribute<std::uint8_t>(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    });
  });
  (void)netlink_.request(std::move(no_address), operation);
  NetlinkMessage up = link_change(tap_index, IFF_UP);
  up.attribute<std::uint32_t>(IFLA_MTU, interface.mtu);
  RUNHV_TRY(netlink_.request(std::move(up), operation));

  RUNHV_TRY(add_qdisc(tap_index, operation));
  RUNHV_TRY(netlink_.request(redirection(tap_index, interface.index), operation));
  RUNHV_TRY_ASSIGN(const bool added, add_qdisc(interface.index, operation));
  // A machine that was killed has left its own filter, which leads nowhere, and its qdisc.
  const bool left = netlink_.request(filter(RTM_DELTFILTER, 0, interface.index), "").has_value();
  redirected_.push_back({interface.index, added || left});
  RUNHV_TRY(netlink_.request(redirection(interface.index, tap_index), operation));
  return tap;
}

Result<TakenNetwork> TakenNetwork::take(const std::string& path) {
  UniqueHandle space(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!space.is_open()) return Fail{last_os_error("open the network namespace " + path)};
  if (is_same(static_cast<int>(space.get()), "/proc/1/ns/net").value_or(false)) {
    return unsupported(path, "it is the host's own, which a micro-VM cannot share");
  }
  return run_in<TakenNetwork>(space, path, [&] { return Kernel::take(std::move(space), path); });
}

Result<TakenNetwork> TakenNetwork::take_own() { return take("/proc/thread-self/ns/net"); }

TakenNetwork::TakenNetwork(std::unique_ptr<Kernel> kernel, std::vector<Part> parts)
    : kernel_(std::move(kernel)), parts_(std::move(parts)) {}
TakenNetwork::TakenNetwork(TakenNetwork&&) noexcept = default;
TakenNetwork& TakenNetwork::operator=(TakenNetwork&&) noexcept = default;
TakenNetwork::~TakenNetwork() = default;

Result<void> TakenNetwork::bind(EventLoop& loop) { return kernel_->bind(loop); }
void TakenNetwork::on_change(Handler handler) { kernel_->on_change(std::move(handler)); }

void TakenNetwork::forget_changes() { kernel_->forget_events(); }

Result<std::vector<NetworkInterface>> TakenNetwork::interfaces() {
  kernel_->forget_events();
  return kernel_->interfaces();
}

Result<Tap> TakenNetwork::take(const NetworkInterface& interface) {
  return kernel_->run<Tap>([&] { return kernel_->redirect(interface); });
}

void TakenNetwork::give_back(std::uint32_t index) { kernel_->give_back(index); }

bool TakenNetwork::has_resolver() const {
  const auto found =
      kernel_->run<bool>([]() -> Result<bool> { return is_bound(kResolverAddress); });
  return found && *found;
}

Result<Stream> TakenNetwork::connect_to_resolver(bool datagrams) const {
  return kernel_->run<Stream>(
      [&] { return connected_socket(datagrams, kResolverAddress, kResolverPort); });
}

}  // namespace runhv::platform
