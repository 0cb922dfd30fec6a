// The container's standard streams: a pipe for the container, a vsock connection to the host, and
// bytes moved between them by splice(2), so that the agent holds none itself.
#pragma once

#include <cstdint>

#include "failure.h"
#include "runhv_agent.h"

namespace runhv::agent {

class Streams {
 public:
  // Connects what has a port, all connects in flight at once, and makes the pipes.
  bool open(const runhv_stdio& stdio, Failure& failure);

  // The container's end of stream 0, 1 or 2; -1 = /dev/null.
  int container_end(unsigned stream) const { return lanes_[stream].container; }
  void close_container_ends();

  // Epoll tokens are 0..2.
  void watch(int epoll);

  // Moves what can be moved. Called for a token that epoll gave, and again while busy().
  void move(unsigned stream);
  // True when a stream was left with bytes to move, so that no other stream and no signal starves.
  bool busy() const { return lanes_[0].busy || lanes_[1].busy || lanes_[2].busy; }
  bool busy(unsigned stream) const { return lanes_[stream].busy; }

 private:
  struct Lane {
    int connection = -1;
    int agent = -1;      // our end of the pipe
    int container = -1;  // the container's end
    bool busy = false;
    bool finished() const { return agent < 0; }
  };

  void finish(Lane& lane, bool by_end_of_file, bool output);

  Lane lanes_[3];
};

}  // namespace runhv::agent
