// What one client has not read yet.
#pragma once

#include <cstddef>
#include <deque>
#include <span>
#include <vector>

#include "runhv/runhv.h"

namespace runhv::control {

// Frames, oldest first. The first may be sent in part.
class ClientQueue {
 public:
  // A client that leaves more than this unread does not read: it is dropped. Every process that a
  // container can have may start and end at one moment, and some things more.
  static constexpr std::size_t kMaxFrames = 2 * RUNHV_MAX_PROCESSES + 64;
  static constexpr std::size_t kMaxBytes = kMaxFrames * 1024;

  // False where it is full.
  bool push(std::vector<std::byte> frame) {
    if (frames_.size() >= kMaxFrames || bytes_ + frame.size() > kMaxBytes) return false;
    bytes_ += frame.size();
    frames_.push_back(std::move(frame));
    return true;
  }
  bool empty() const { return frames_.empty(); }
  // REQUIRES: !empty().
  std::span<const std::byte> front() const { return std::span(frames_.front()).subspan(sent_); }
  void sent(std::size_t bytes) {
    sent_ += bytes;
    bytes_ -= bytes;
    if (sent_ < frames_.front().size()) return;
    frames_.pop_front();
    sent_ = 0;
  }

 private:
  std::deque<std::vector<std::byte>> frames_;
  std::size_t sent_ = 0;   // of the first
  std::size_t bytes_ = 0;  // unsent, of all
};

}  // namespace runhv::control
