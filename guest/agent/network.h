// The interfaces of the machine's network devices.
#pragma once

#include <cstddef>
#include <span>

#include "failure.h"

namespace runhv::agent {

// Does what the records of the network say, in their order: binds the driver to devices that have
// come, and lets go of those that have gone; says netlink messages to the kernel. Other records are
// skipped. Up to the first that fails. Two at a time are about different interfaces.
bool configure_network(std::span<const std::byte> records, Failure& failure);
// The same of interfaces that are in the network namespace of process `pid`, where `there` is a
// socket of rtnetlink; those that have come are brought into it.
bool configure_network_of(int pid, int there, std::span<const std::byte> records, Failure& failure);

// Makes a network namespace for the caller, and brings the interfaces into it that the records are
// about; the agent's has them until then. REQUIRES: the caller is pid 1 of its pid namespace.
bool move_network(std::span<const std::byte> records, Failure& failure);

// Brings the same interfaces, which are the caller's, into the network namespace of process `pid`.
bool give_network(std::span<const std::byte> records, int pid, Failure& failure);

}  // namespace runhv::agent
