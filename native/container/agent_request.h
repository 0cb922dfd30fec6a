// What the host says on the control connection (guest/proto/runhv_agent.h), as frames.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "container/cgroup_settings.h"
#include "container/container_spec.h"
#include "container/network_messages.h"
#include "container/process_spec.h"
#include "runhv_agent.h"

namespace runhv::container {

inline constexpr std::size_t kEntropyBytes = 32;

// The payload of CONTAINER, but for clock and entropy, which must be as young as the guest. An
// error where it is more than a frame holds.
Result<std::vector<std::byte>> encode_container(const ContainerSpec& spec,
                                                std::span<const NetworkMessage> network = {},
                                                const std::optional<runhv_resolver>& resolver = {});
// The payload of NETWORK: first the devices that have gone and come, then what is said of them.
Result<std::vector<std::byte>> encode_network(std::span<const runhv_network_slot> slots,
                                              std::span<const NetworkMessage> network,
                                              const std::optional<runhv_resolver>& resolver);
// What encode_network() wrote without slots and resolver, for whoever hands a network on to another
// process. kInvalidArgument: a record that is none, or not about one of `interfaces`.
Result<std::vector<NetworkMessage>> decode_network(std::span<const std::byte> records,
                                                   std::size_t interfaces);
// The clock and entropy records.
void append_identity(std::vector<std::byte>& payload, std::uint64_t realtime_ns,
                     std::span<const std::byte, kEntropyBytes> entropy);

// Where a process is: in a container that is there, or in one that it is the first of.
struct ProcessPlace {
  std::uint32_t container = 0;
  std::span<const std::byte> records{};  // of encode_container; empty = it is there
};

// The payload of PREPARE, whose flags are still 0. An error where it is more than a frame holds.
Result<std::vector<std::byte>> encode_process(std::uint32_t process, const ProcessSpec& spec,
                                              const runhv_stdio& stdio,
                                              const ProcessPlace& place = {});
void add_execute(std::vector<std::byte>& prepare_payload);
// There is room for as many as a process may have.
void append_descriptor(std::vector<std::byte>& prepare_payload, const runhv_descriptor& descriptor);

// The frame of RESOURCES, for the cgroup of `container`.
Result<std::vector<std::byte>> encode_resources(std::uint32_t container,
                                                const CgroupSettings& settings);

std::vector<std::byte> encode_frame(std::uint16_t type, std::span<const std::byte> payload);
std::vector<std::byte> encode_execute(std::uint32_t process);
std::vector<std::byte> encode_signal(std::uint32_t process, int signal);
std::vector<std::byte> encode_resize(std::uint32_t process, std::uint16_t columns,
                                     std::uint16_t rows);

}  // namespace runhv::container
