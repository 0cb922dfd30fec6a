// Walks the scattered parts of a request as one sequence of bytes. Drivers may split a request as
// they like (virtio 1.2 §2.7.4): no device assumes that a header is one descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/guest_address.h"

namespace runhv::devices {

// `Byte`: const std::byte in what the device reads, std::byte in what it writes.
template <class Byte>
struct Segment {
  Gpa address;
  std::span<Byte> bytes;
};
using ReadSegment = Segment<const std::byte>;
using WriteSegment = Segment<std::byte>;

template <class Byte>
class SegmentCursor {
 public:
  explicit SegmentCursor(std::span<const Segment<Byte>> segments) : segments_(segments) {
    for (const Segment<Byte>& segment : segments) remaining_ += segment.bytes.size();
  }

  std::size_t remaining() const { return remaining_; }

  // The next contiguous part, at most `limit` bytes; empty at the end or for limit 0.
  std::span<Byte> take(std::size_t limit);
  void skip(std::size_t size);

 private:
  std::span<const Segment<Byte>> segments_;
  std::size_t offset_ = 0;  // in segments_.front()
  std::size_t remaining_ = 0;
};

class ReadCursor : public SegmentCursor<const std::byte> {
 public:
  using SegmentCursor::SegmentCursor;
  // Copies min(size, remaining()) bytes and returns their number.
  std::size_t read(std::span<std::byte> out);
};

class WriteCursor : public SegmentCursor<std::byte> {
 public:
  using SegmentCursor::SegmentCursor;
  // Copies min(size, remaining()) bytes and returns their number.
  std::size_t write(std::span<const std::byte> in);
};

}  // namespace runhv::devices
