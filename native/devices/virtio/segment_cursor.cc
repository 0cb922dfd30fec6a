#include "devices/virtio/segment_cursor.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace runhv::devices {

template <class Byte>
std::span<Byte> SegmentCursor<Byte>::take(std::size_t limit) {
  if (limit == 0 || remaining_ == 0) return {};
  const std::span<Byte> rest = segments_.front().bytes.subspan(offset_);
  const std::span<Byte> part = rest.first(std::min(limit, rest.size()));
  offset_ += part.size();
  remaining_ -= part.size();
  if (offset_ == segments_.front().bytes.size()) {
    segments_ = segments_.subspan(1);
    offset_ = 0;
  }
  return part;
}

template <class Byte>
void SegmentCursor<Byte>::skip(std::size_t size) {
  while (size > 0) {
    const std::size_t part = take(size).size();
    if (part == 0) break;
    size -= part;
  }
}

template class SegmentCursor<const std::byte>;
template class SegmentCursor<std::byte>;

std::size_t ReadCursor::read(std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const std::span<const std::byte> part = take(out.size() - done);
    if (part.empty()) break;
    std::memcpy(out.data() + done, part.data(), part.size());
    done += part.size();
  }
  // The guest can change its memory at any moment: what was copied must not be loaded again.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  return done;
}

std::size_t WriteCursor::write(std::span<const std::byte> in) {
  std::size_t done = 0;
  while (done < in.size()) {
    const std::span<std::byte> part = take(in.size() - done);
    if (part.empty()) break;
    std::memcpy(part.data(), in.data() + done, part.size());
    done += part.size();
  }
  return done;
}

}  // namespace runhv::devices
