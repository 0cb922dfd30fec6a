// What a container's interfaces have carried, as its network namespace on the host counts it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace runhv::oci {

struct InterfaceUse {
  struct Direction {
    std::uint64_t bytes = 0;
    std::uint64_t packets = 0;
    std::uint64_t errors = 0;
    std::uint64_t dropped = 0;
  };
  std::string name;
  Direction received;
  Direction sent;
};

// Of /proc/PID/net/dev (proc(5)), without the loopback and the taps of machines. What is no line of
// an interface is passed over.
std::vector<InterfaceUse> parse_network_use(std::string_view text);

// None where the process is in the caller's own namespace, or has ended.
std::vector<InterfaceUse> network_use(std::uint64_t pid);

}  // namespace runhv::oci
