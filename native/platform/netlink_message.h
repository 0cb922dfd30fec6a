// Builds one message of rtnetlink(7), for this host's kernel or a guest's: numbers are
// little-endian, as on every machine that a guest of ours has.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/bytes.h"

namespace runhv::platform {

class NetlinkMessage {
 public:
  static constexpr std::size_t kHeaderBytes = 16;
  static constexpr std::size_t kAlignment = 4;

  NetlinkMessage(std::uint16_t type, std::uint16_t flags) : bytes_(kHeaderBytes) {
    store_le(bytes_, 4, type);
    store_le(bytes_, 6, flags);
    finish();
  }

  // One that somebody else has built; nullopt where its header says another size.
  static std::optional<NetlinkMessage> copy_of(std::span<const std::byte> bytes) {
    if (bytes.size() < kHeaderBytes || bytes.size() % kAlignment != 0 ||
        load_le<std::uint32_t>(bytes) != bytes.size()) {
      return std::nullopt;
    }
    NetlinkMessage message(0, 0);
    message.bytes_.assign(bytes.begin(), bytes.end());
    return message;
  }

  // The fixed part, before the first attribute.
  template <class T>
  NetlinkMessage& head(const T& value) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % kAlignment == 0);
    return append(std::as_bytes(std::span(&value, 1)));
  }
  NetlinkMessage& attribute(std::uint16_t type, std::span<const std::byte> value) {
    std::array<std::byte, 4> header;
    store_le<std::uint16_t>(header, 0, static_cast<std::uint16_t>(header.size() + value.size()));
    store_le<std::uint16_t>(header, 2, type);
    return append(header).append(value);
  }
  template <class T>
    requires std::is_integral_v<T>
  NetlinkMessage& attribute(std::uint16_t type, T value) {
    std::array<std::byte, sizeof(T)> bytes;
    store_le(bytes, 0, value);
    return attribute(type, std::span<const std::byte>(bytes));
  }
  // With the NUL at its end.
  NetlinkMessage& attribute(std::uint16_t type, const std::string& text) {
    return attribute(type, std::as_bytes(std::span(text.c_str(), text.size() + 1)));
  }
  // `fill(*this)` appends what the attribute holds.
  template <class Fill>
  NetlinkMessage& nested(std::uint16_t type, Fill fill) {
    const std::size_t start = bytes_.size();
    attribute(type, std::span<const std::byte>());
    fill(*this);
    store_le<std::uint16_t>(bytes_, start, static_cast<std::uint16_t>(bytes_.size() - start));
    return *this;
  }

  std::size_t size() const { return bytes_.size(); }
  std::span<const std::byte> bytes() const { return bytes_; }
  std::span<std::byte> bytes() { return bytes_; }

 private:
  NetlinkMessage& append(std::span<const std::byte> part) {
    bytes_.insert(bytes_.end(), part.begin(), part.end());
    while (bytes_.size() % kAlignment != 0) bytes_.push_back(std::byte{0});
    return finish();
  }
  NetlinkMessage& finish() {
    store_le<std::uint32_t>(bytes_, 0, static_cast<std::uint32_t>(bytes_.size()));
    return *this;
  }

  std::vector<std::byte> bytes_;
};

}  // namespace runhv::platform
