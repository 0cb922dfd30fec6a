// The two halves of a FUSE message: arguments that are read in order, an answer that is written in
// order. Numbers are little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "platform/file_node.h"

namespace runhv::devices {

// Bytes that were copied from the guest. What lies behind their end reads as 0 and makes ok()
// false.
class FuseArguments {
 public:
  explicit FuseArguments(std::span<const std::byte> bytes) : rest_(bytes) {}

  std::uint32_t u32() { return take<std::uint32_t>(); }
  std::uint64_t u64() { return take<std::uint64_t>(); }
  void skip(std::size_t size) { (void)bytes(size); }
  std::span<const std::byte> bytes(std::size_t size) {
    if (size > rest_.size()) ok_ = false;
    const auto part = rest_.first(ok_ ? size : 0);
    rest_ = rest_.subspan(part.size());
    return part;
  }
  // Up to its NUL, which has to be there.
  std::string text() {
    const std::string_view all(reinterpret_cast<const char*>(rest_.data()), rest_.size());
    const std::size_t end = all.find('\0');
    if (end == std::string_view::npos) {
      ok_ = false;
      return {};
    }
    rest_ = rest_.subspan(end + 1);
    return std::string(all.substr(0, end));
  }
  bool ok() const { return ok_; }

 private:
  template <class T>
  T take() {
    const std::span<const std::byte> part = bytes(sizeof(T));
    return part.empty() ? T{0} : load_le<T>(part);
  }

  std::span<const std::byte> rest_;
  bool ok_ = true;
};

class FuseAnswer {
 public:
  FuseAnswer& u16(std::uint16_t value) { return add(value); }
  FuseAnswer& u32(std::uint32_t value) { return add(value); }
  FuseAnswer& u64(std::uint64_t value) { return add(value); }
  FuseAnswer& zeros(std::size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  FuseAnswer& bytes(std::span<const std::byte> value) {
    bytes_.insert(bytes_.end(), value.begin(), value.end());
    return *this;
  }
  std::span<const std::byte> written() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }

 private:
  template <class T>
  FuseAnswer& add(T value) {
    bytes_.resize(bytes_.size() + sizeof value);
    store_le(std::span(bytes_), bytes_.size() - sizeof value, value);
    return *this;
  }

  std::vector<std::byte> bytes_;
};

}  // namespace runhv::devices
