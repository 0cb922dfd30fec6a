// Frames of the control connection, cut out of the bytes as they arrive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runhv_agent.h"

namespace runhv::agent {

struct Frame {
  std::uint16_t type;
  std::span<const std::byte> payload;  // valid until the next call on the reader
};

class FrameReader {
 public:
  // Room for one largest frame and its header.
  static constexpr std::size_t kRoom = sizeof(runhv_frame) + RUNHV_MAX_FRAME_TO_AGENT;

  // `buffer` has kRoom bytes and outlives the reader.
  explicit FrameReader(std::byte* buffer) : buffer_(buffer) {}

  // Where the next bytes go; never empty as long as next() is called until it says kMore.
  std::span<std::byte> room() { return {buffer_ + end_, kRoom - end_}; }
  void received(std::size_t size) { end_ += size; }

  enum class Next { kFrame, kMore, kBroken };
  Next next(Frame& out);

 private:
  void drop_taken();

  std::byte* buffer_;
  std::size_t taken_ = 0;  // bytes at the front that the last frame held
  std::size_t end_ = 0;
};

}  // namespace runhv::agent
