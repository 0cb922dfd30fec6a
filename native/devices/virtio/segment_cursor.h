// Walks the scattered parts of a request as one sequence of bytes. Drivers may split a request as
// they like (virtio 1.2 §2.7.4): no device assumes that a header is one descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/guest_address.h"

namespace runhv {

struct Segment {
  Gpa address;
  std::span<std::byte> bytes;
};

class SegmentCursor {
 public:
  explicit SegmentCursor(std::span<const Segment> segments) : segments_(segments) {
    for (const Segment& segment : segments) remaining_ += segment.bytes.size();
  }

  std::size_t remaining() const { return remaining_; }

  // The next contiguous part, at most `limit` bytes; empty at the end or for limit 0.
  std::span<std::byte> take(std::size_t limit);
  // Copies min(size, remaining()) bytes and returns their number.
  std::size_t read(std::span<std::byte> out);
  std::size_t write(std::span<const std::byte> in);
  void skip(std::size_t size);

 private:
  std::span<const Segment> segments_;
  std::size_t offset_ = 0;  // in segments_.front()
  std::size_t remaining_ = 0;
};

}  // namespace runhv
