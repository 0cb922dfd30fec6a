// The header of a vsock packet. Virtio 1.2 §5.10.6.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace runhv::devices {

enum class VsockOp : std::uint16_t {
  kRequest = 1,
  kResponse = 2,
  kReset = 3,
  kShutdown = 4,
  kData = 5,
  kCreditUpdate = 6,
  kCreditRequest = 7
};

inline constexpr std::uint16_t kVsockStream = 1;
inline constexpr std::uint32_t kVsockShutdownReceive = 1;
inline constexpr std::uint32_t kVsockShutdownSend = 2;
inline constexpr std::uint64_t kVsockHostCid = 2;
inline constexpr std::uint64_t kVsockGuestCid = 3;
inline constexpr std::size_t kVsockHeaderBytes = 44;

struct VsockHeader {
  std::uint64_t source_cid = 0;
  std::uint64_t destination_cid = 0;
  std::uint32_t source_port = 0;
  std::uint32_t destination_port = 0;
  std::uint32_t payload_bytes = 0;
  std::uint16_t type = kVsockStream;
  std::uint16_t op = 0;
  std::uint32_t flags = 0;
  std::uint32_t buffer_bytes = 0;     // buf_alloc
  std::uint32_t forwarded_bytes = 0;  // fwd_cnt
};

inline VsockHeader load_vsock_header(std::span<const std::byte, kVsockHeaderBytes> bytes) {
  return {.source_cid = load_le<std::uint64_t>(bytes, 0),
          .destination_cid = load_le<std::uint64_t>(bytes, 8),
          .source_port = load_le<std::uint32_t>(bytes, 16),
          .destination_port = load_le<std::uint32_t>(bytes, 20),
          .payload_bytes = load_le<std::uint32_t>(bytes, 24),
          .type = load_le<std::uint16_t>(bytes, 28),
          .op = load_le<std::uint16_t>(bytes, 30),
          .flags = load_le<std::uint32_t>(bytes, 32),
          .buffer_bytes = load_le<std::uint32_t>(bytes, 36),
          .forwarded_bytes = load_le<std::uint32_t>(bytes, 40)};
}

inline std::array<std::byte, kVsockHeaderBytes> store_vsock_header(const VsockHeader& header) {
  std::array<std::byte, kVsockHeaderBytes> bytes;
  store_le(bytes, 0, header.source_cid);
  store_le(bytes, 8, header.destination_cid);
  store_le(bytes, 16, header.source_port);
  store_le(bytes, 20, header.destination_port);
  store_le(bytes, 24, header.payload_bytes);
  store_le(bytes, 28, header.type);
  store_le(bytes, 30, header.op);
  store_le(bytes, 32, header.flags);
  store_le(bytes, 36, header.buffer_bytes);
  store_le(bytes, 40, header.forwarded_bytes);
  return bytes;
}

}  // namespace runhv::devices
