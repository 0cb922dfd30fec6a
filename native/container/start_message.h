// RUNHV_MSG_START: what the agent is told about the container (guest/proto/runhv_agent.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "container/oci_config.h"

namespace runhv {

inline constexpr std::size_t kStartEntropyBytes = 32;

// The records, but for clock and entropy, which must be as young as the guest. An error where
// they are more than a frame holds.
Result<std::vector<std::byte>> encode_start(const OciConfig& config, const runhv_stdio& ports);

// The clock and entropy records.
void append_identity(std::vector<std::byte>& records, std::uint64_t realtime_ns,
                     std::span<const std::byte, kStartEntropyBytes> entropy);

// A frame of the control connection.
std::vector<std::byte> encode_frame(std::uint16_t type, std::span<const std::byte> payload);

}  // namespace runhv
