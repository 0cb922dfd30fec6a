// Frames of the control channel (runhv/control.h): bytes in, whole frames out, within their bounds.
// Both sides read what the other one wrote as bytes of a stranger.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "api/abi.h"
#include "base/result.h"
#include "runhv/control.h"

namespace runhv::control {

struct Frame {
  runhv_control_frame header;
  std::vector<std::byte> payload;
};

class FrameReader {
 public:
  // `max_payload`: RUNHV_CONTROL_MAX_PAYLOAD for a VMM, RUNHV_CONTROL_MAX_ANSWER for a client.
  explicit FrameReader(std::uint32_t max_payload) : max_payload_(max_payload) {}

  void append(std::span<const std::byte> bytes);

  // The next whole frame; nullopt until there is one. A header that breaks a bound is
  // kCorruptInput, before a byte of its payload is kept, and stays: there is no next frame.
  Result<std::optional<Frame>> next();

  // Bytes that are in no frame yet.
  std::size_t pending_bytes() const { return bytes_.size() - begin_; }

 private:
  const std::uint32_t max_payload_;
  std::vector<std::byte> bytes_;
  std::size_t begin_ = 0;  // of the next frame in bytes_
};

// REQUIRES: payload.size() fits the bound of its direction.
std::vector<std::byte> encode_frame(std::uint32_t type, std::uint32_t request,
                                    std::span<const std::byte> payload, std::uint16_t handles = 0);

// The bytes of a structure as they cross, its size as it says.
template <class T>
  requires std::is_trivially_copyable_v<T>
std::span<const std::byte> structure_bytes(const T& value) {
  return std::as_bytes(std::span(&value, 1)).first(value.struct_size);
}

// Takes the structure at the front of `payload`: what the sender's version lacks is zeros, what it
// has more is passed over. Its struct_size is ours.
template <class T>
  requires std::is_trivially_copyable_v<T>
Result<T> take_structure(std::span<const std::byte>& payload) {
  std::uint32_t size = 0;
  if (payload.size() >= sizeof size) std::memcpy(&size, payload.data(), sizeof size);
  if (size < sizeof size || size > payload.size()) {
    return Fail{Error{Code::kCorruptInput, "read a control frame",
                      "its structure says " + std::to_string(size) + " bytes, and " +
                          std::to_string(payload.size()) + " are there"}};
  }
  T value{};
  std::memcpy(&value, payload.data(), std::min<std::size_t>(size, sizeof value));
  value.struct_size = sizeof value;
  payload = payload.subspan(size);
  return value;
}

}  // namespace runhv::control
