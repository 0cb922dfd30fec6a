// What the agent tells its kernel so that the guest's interfaces are as those of a network
// namespace of the host. rtnetlink(7).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
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

// In the order of sending. The guest's interface n becomes `interfaces`[n].
std::vector<NetworkMessage> network_messages(
    std::span<const platform::NetworkInterface> interfaces);

}  // namespace runhv::container
