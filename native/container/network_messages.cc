#include "container/network_messages.h"

#include <algorithm>
#include <utility>

#include "runhv_agent.h"

namespace runhv::container {
namespace {

// The guest's kernel: rtnetlink(7), linux/if_link.h, linux/if_addr.h, linux/neighbour.h.
constexpr std::uint16_t kNewLink = 16;
constexpr std::uint16_t kNewAddress = 20;
constexpr std::uint16_t kNewRoute = 24;
constexpr std::uint16_t kNewNeighbour = 28;
constexpr std::uint16_t kDelete = 1;              // behind the number of each
constexpr std::uint16_t kRequest = 0x1 | 0x4;     // NLM_F_REQUEST | NLM_F_ACK
constexpr std::uint16_t kCreate = 0x400 | 0x200;  // NLM_F_CREATE | NLM_F_EXCL
constexpr std::uint8_t kInet = 2;
constexpr std::uint8_t kInet6 = 10;
constexpr std::uint32_t kUp = 1;  // IFF_UP
constexpr std::uint16_t kLinkAddress = 1;
constexpr std::uint16_t kLinkName = 3;
constexpr std::uint16_t kLinkMtu = 4;
constexpr std::uint16_t kLinkFamilies = 26;           // IFLA_AF_SPEC
constexpr std::uint16_t kInet6AddressGeneration = 8;  // IFLA_INET6_ADDR_GEN_MODE
constexpr std::uint8_t kGenerateNone = 1;
constexpr std::uint16_t kAddressPeer = 1;  // IFA_ADDRESS
constexpr std::uint16_t kAddressLocal = 2;
constexpr std::uint16_t kAddressBroadcast = 4;
constexpr std::uint16_t kAddressLifetimes = 6;  // IFA_CACHEINFO
constexpr std::uint16_t kAddressFlags = 8;
constexpr std::uint32_t kNoDuplicateDetection = 0x02;
constexpr std::uint32_t kNoPrefixRoute = 0x200;
constexpr std::uint8_t kMainTable = 254;
constexpr std::uint16_t kRouteDestination = 1;
constexpr std::uint16_t kRouteInterface = 4;  // RTA_OIF
constexpr std::uint16_t kRouteGateway = 5;
constexpr std::uint16_t kRoutePriority = 6;
constexpr std::uint16_t kRouteSource = 7;  // RTA_PREFSRC
constexpr std::uint16_t kRouteMetrics = 8;
constexpr std::uint16_t kNeighbourAddress = 1;  // NDA_DST
constexpr std::uint16_t kNeighbourMac = 2;
constexpr std::uint16_t kPermanent = 0x80;  // NUD_PERMANENT

struct LinkHead {
  std::uint8_t family = 0;
  std::uint8_t zero = 0;
  std::uint16_t type = 0;
  std::uint32_t index = 0;
  std::uint32_t flags = 0;
  std::uint32_t change = 0;
};
struct AddressHead {
  std::uint8_t family;
  std::uint8_t prefix_bits;
  std::uint8_t flags = 0;  // all of them are in an attribute
  std::uint8_t scope;
  std::uint32_t index = 0;
};
struct RouteHead {
  std::uint8_t family;
  std::uint8_t destination_bits;
  std::uint8_t source_bits = 0;
  std::uint8_t service;
  std::uint8_t table = kMainTable;
  std::uint8_t protocol;
  std::uint8_t scope;
  std::uint8_t type;
  std::uint32_t flags;
};
struct NeighbourHead {
  std::uint8_t family;
  std::uint8_t zero[3] = {};
  std::uint32_t index = 0;
  std::uint16_t state = kPermanent;
  std::uint8_t flags = 0;
  std::uint8_t type = 0;
};
// Of link, address and neighbour.
constexpr std::uint32_t kIndexOffset = platform::NetlinkMessage::kHeaderBytes + 4;
static_assert(offsetof(LinkHead, index) == 4 && offsetof(AddressHead, index) == 4 &&
              offsetof(NeighbourHead, index) == 4);

std::uint8_t family(std::size_t address_bytes) { return address_bytes == 16 ? kInet6 : kInet; }

void add_address(platform::NetlinkMessage& message, std::uint16_t type,
                 const platform::IpAddress& address) {
  if (address.present()) message.attribute(type, address.bytes());
}

// The interface as it is before it is up, but for its name: another may still have that.
platform::NetlinkMessage set_link(std::size_t number, const platform::NetworkInterface& interface) {
  platform::NetlinkMessage message(kNewLink, kRequest);
  message.head(LinkHead{})
      .attribute(kLinkName, "runhv" + std::to_string(number))
      .attribute(kLinkAddress, std::as_bytes(std::span(interface.mac)))
      .attribute<std::uint32_t>(kLinkMtu, interface.mtu);
  // It has the addresses that it is given, and no other.
  message.nested(kLinkFamilies, [](platform::NetlinkMessage& families) {
    families.nested(kInet6, [](platform::NetlinkMessage& six) {
      six.attribute<std::uint8_t>(kInet6AddressGeneration, kGenerateNone);
    });
  });
  return message;
}

platform::NetlinkMessage bring_up(const platform::NetworkInterface& interface) {
  platform::NetlinkMessage message(kNewLink, kRequest);
  message.head(LinkHead{.flags = kUp, .change = kUp}).attribute(kLinkName, interface.name);
  return message;
}

enum class Change { kAdd, kRemove };

platform::NetlinkMessage message_of(Change change, std::uint16_t type) {
  return change == Change::kAdd
             ? platform::NetlinkMessage(type, kRequest | kCreate)
             : platform::NetlinkMessage(static_cast<std::uint16_t>(type + kDelete), kRequest);
}

platform::NetlinkMessage say(Change change, const platform::NetworkAddress& address) {
  platform::NetlinkMessage message = message_of(change, kNewAddress);
  const bool six = address.local.size == 16;
  message.head(AddressHead{.family = family(address.local.size),
                           .prefix_bits = address.prefix_bits,
                           .scope = address.scope});
  const bool has_peer = address.peer.octets != address.local.octets;
  if (!six || has_peer) add_address(message, kAddressLocal, address.local);
  add_address(message, kAddressPeer, address.peer);
  add_address(message, kAddressBroadcast, address.broadcast);
  // The host's kernel has looked for duplicates.
  const std::uint32_t flags = (address.flags & (kNoDuplicateDetection | kNoPrefixRoute)) |
                              (six ? kNoDuplicateDetection : 0);
  message.attribute(kAddressFlags, flags);
  if (address.valid_s != UINT32_MAX) {
    const std::array<std::uint32_t, 4> lifetimes{address.preferred_s, address.valid_s, 0, 0};
    message.attribute(kAddressLifetimes, std::as_bytes(std::span(lifetimes)));
  }
  return message;
}

NetworkMessage say(Change change, std::uint32_t interface, const platform::NetworkRoute& route,
                   std::string what) {
  platform::NetlinkMessage message = message_of(change, kNewRoute);
  message.head(RouteHead{.family = family(route.address_bytes),
                         .destination_bits = route.prefix_bits,
                         .service = route.service,
                         .protocol = route.protocol,
                         .scope = route.scope,
                         .type = route.type,
                         .flags = route.flags});
  message.attribute<std::uint32_t>(kRouteInterface, 0);
  const auto index_offset = static_cast<std::uint32_t>(message.size() - sizeof(std::uint32_t));
  add_address(message, kRouteDestination, route.destination);
  add_address(message, kRouteGateway, route.gateway);
  add_address(message, kRouteSource, route.source);
  if (route.priority != 0) message.attribute(kRoutePriority, route.priority);
  if (!route.metrics.empty()) {
    message.nested(kRouteMetrics, [&](platform::NetlinkMessage& metrics) {
      for (const auto& [type, value] : route.metrics) metrics.attribute(type, value);
    });
  }
  return {interface, index_offset, std::move(message), std::move(what)};
}

platform::NetlinkMessage say(Change change, const platform::NetworkNeighbour& neighbour) {
  platform::NetlinkMessage message = message_of(change, kNewNeighbour);
  message.head(NeighbourHead{.family = family(neighbour.address.size)});
  add_address(message, kNeighbourAddress, neighbour.address);
  message.attribute(kNeighbourMac, std::as_bytes(std::span(neighbour.mac)));
  return message;
}

// Lifetimes run down by themselves.
bool is_same(const platform::NetworkAddress& one, const platform::NetworkAddress& other) {
  return one.local == other.local && one.peer == other.peer && one.broadcast == other.broadcast &&
         one.prefix_bits == other.prefix_bits && one.scope == other.scope;
}
bool is_same(const platform::NetworkRoute& one, const platform::NetworkRoute& other) {
  return one == other;
}
bool is_same(const platform::NetworkNeighbour& one, const platform::NetworkNeighbour& other) {
  return one == other;
}

}  // namespace

std::array<std::uint8_t, 6> network_device_mac(std::size_t interface) {
  std::array<std::uint8_t, 6> mac = RUNHV_NETWORK_MAC;
  mac.back() = static_cast<std::uint8_t>(interface);
  return mac;
}

bool is_same_link(const platform::NetworkInterface& one, const platform::NetworkInterface& other) {
  return one.index == other.index && one.name == other.name && one.mac == other.mac &&
         one.mtu == other.mtu;
}

std::vector<NetworkMessage> network_messages(const NetworkState& before,
                                             const NetworkState& after) {
  static const platform::NetworkInterface kNone;
  std::vector<NetworkMessage> messages;
  const auto was = [&](std::uint32_t number) -> const platform::NetworkInterface& {
    const auto found = before.find(number);
    return found == before.end() ? kNone : found->second;
  };
  const auto send = [&](std::uint32_t number, platform::NetlinkMessage message, std::string what) {
    messages.push_back({number, kIndexOffset, std::move(message), std::move(what)});
  };
  // What of `these` is not among `those`.
  const auto for_each_new = [](const auto& these, const auto& those, auto act) {
    for (const auto& each : these) {
      if (std::ranges::none_of(those, [&](const auto& other) { return is_same(each, other); })) {
        act(each);
      }
    }
  };
  const auto say_routes = [&](Change change, std::uint32_t number, const auto& these,
                              const auto& those, bool by_gateway, const std::string& what) {
    for_each_new(these, those, [&](const platform::NetworkRoute& route) {
      if (route.gateway.present() != by_gateway) return;
      messages.push_back(say(change, number, route, what));
    });
  };

  // A route by a gateway goes before the one by which that is reached, and both before addresses.
  for (const bool by_gateway : {true, false}) {
    for (const auto& [number, interface] : after) {
      say_routes(Change::kRemove, number, was(number).routes, interface.routes, by_gateway,
                 "remove a route by the interface " + interface.name);
    }
  }
  for (const auto& [number, interface] : after) {
    for_each_new(was(number).neighbours, interface.neighbours, [&](const auto& neighbour) {
      send(number, say(Change::kRemove, neighbour),
           "remove a neighbour on the interface " + interface.name);
    });
    for_each_new(was(number).addresses, interface.addresses, [&](const auto& address) {
      send(number, say(Change::kRemove, address),
           "take an address from the interface " + interface.name);
    });
  }

  for (const auto& [number, interface] : after) {
    if (before.contains(number)) continue;
    send(number, set_link(number, interface), "set up the interface " + interface.name);
  }
  for (const auto& [number, interface] : after) {
    if (!before.contains(number)) {
      send(number, bring_up(interface), "bring up the interface " + interface.name);
    }
    for_each_new(interface.addresses, was(number).addresses, [&](const auto& address) {
      send(number, say(Change::kAdd, address),
           "give an address to the interface " + interface.name);
    });
  }
  // A gateway is reached by a route that is there.
  for (const bool by_gateway : {false, true}) {
    for (const auto& [number, interface] : after) {
      say_routes(Change::kAdd, number, interface.routes, was(number).routes, by_gateway,
                 "add a route by the interface " + interface.name);
    }
  }
  for (const auto& [number, interface] : after) {
    for_each_new(interface.neighbours, was(number).neighbours, [&](const auto& neighbour) {
      send(number, say(Change::kAdd, neighbour),
           "add a neighbour on the interface " + interface.name);
    });
  }
  return messages;
}

}  // namespace runhv::container
