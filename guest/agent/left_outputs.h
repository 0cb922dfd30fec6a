// Outputs of processes that are over, whose host has gone, and which others still hold: a daemon
// that a process has left in the background. They are read to nothing until their end, so that who
// writes neither waits for ever nor gets SIGPIPE.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runhv_agent.h"

namespace runhv::agent {

class LeftOutputs {
 public:
  // Takes over `pipe`, our end of one. `epoll` tells with `token` that drain() has something to do.
  // Where there is no room for one more, the oldest is closed.
  void add(int pipe, int epoll, std::uint32_t token);
  // A step of each that has bytes, or its end.
  void drain();

 private:
  static constexpr std::size_t kMost = 2 * RUNHV_MAX_PROCESSES;  // stdout and stderr

  void close(std::size_t place);

  int epoll_ = 0;  // of these pipes; made with the first one
  int pipes_[kMost] = {};
  std::size_t count_ = 0;  // of them, from the front, the oldest first
};

}  // namespace runhv::agent
