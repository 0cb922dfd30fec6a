// What the agent tells its kernel so that the guest's interfaces are as those of a network
// namespace of the host. rtnetlink(7).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "platform/netlink_message.h"
#include "platform/network_namespace.h"

namespace runhv::container {

// The address by which the agent finds interface n of the machine; the interface gets the one of
// the host's when it is configured.
std::array<std::uint8_t, 6> network_device_mac(std::size_t interface);

struct NetworkMessage {
  std::uint32_t interface;     // of the machine
  std::uint32_t index_offset;  // in `message`: the interface's index in the guest, for the agent
  platform::NetlinkMessage message;
  std::string what;  // for errors
};

// By the numbers of the machine's interfaces.
using NetworkState = std::map<std::uint32_t, platform::NetworkInterface>;

// Whether one becomes the other by addresses, routes and neighbours alone.
bool is_same_link(const platform::NetworkInterface& one, const platform::NetworkInterface& other);

// What makes `after` of `before`, in the order of sending. An interface that both have is the same
// link; one that `after` lacks has gone with its device.
std::vector<NetworkMessage> network_messages(const NetworkState& before, const NetworkState& after);

}  // namespace runhv::container
