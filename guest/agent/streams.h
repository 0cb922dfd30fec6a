// A process's streams: bytes between vsock connections to the host and what the process holds.
// Pipes are moved by splice(2), so that the agent holds no byte of them; a terminal, which splice
// cannot take from, through a page for each direction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "failure.h"
#include "runhv_agent.h"

namespace runhv::agent {

class Streams {
 public:
  static constexpr unsigned kStandard = 3;
  static constexpr unsigned kLanes = kStandard + RUNHV_MAX_DESCRIPTORS;

  // Connects what has a port, all connects in flight at once, and makes the pipes.
  bool open(const runhv_stdio& stdio, std::span<const runhv_descriptor> descriptors,
            Failure& failure);
  // The agent's side of the terminal, owned from here on.
  void set_terminal(int terminal);

  // The process's end of its descriptor `stream`; -1 = none, of the first three /dev/null.
  int container_end(unsigned stream) const { return lanes_[stream].container; }
  void close_container_ends();
  int terminal() const { return terminal_; }

  // Epoll tokens are first_token + lane.
  void watch(int epoll, std::uint32_t first_token);

  // Moves what can be moved. Called for a token that epoll gave, and again while busy().
  void move(unsigned lane);
  // An output that the host takes no more of has ended: a writer that is silent would else keep it.
  void look_at_host(unsigned lane);
  // True when a lane was left with bytes to move, so that no other stream and no signal starves.
  bool busy() const {
    for (unsigned lane = 0; lane < lane_count_; ++lane) {
      if (lanes_[lane].busy) return true;
    }
    return false;
  }
  bool busy(unsigned lane) const { return lanes_[lane].busy; }
  unsigned lane_count() const { return lane_count_; }

  // What the process had written when it ended goes out first.
  void move_outputs();

  // The process has ended: nobody reads its input any more, and an output that the host closes from
  // here on is left to those who hold it, for take_left().
  void end_process();
  // Our end of such an output, the caller's from here on; -1 = there is none.
  int take_left();
  // Nothing is open any more.
  bool finished() const;
  // Closes everything, whatever is on its way.
  void close();

 private:
  // Output lanes go from the process to the host. A terminal has lane 0 for its input and lane 1
  // for its output, both on lane 0's connection.
  struct Lane {
    int connection = -1;
    int agent = -1;      // our end of the pipe
    int container = -1;  // the process's end
    bool output = false;
    bool busy = false;
    bool drained = false;  // our sending side is shut down; the host has not closed yet
    bool left = false;     // for take_left()
  };

  bool open_lane(Lane& lane, std::uint32_t port, bool output, Failure& failure);
  void move_pipe(Lane& lane);
  void move_terminal(unsigned lane);
  void hang_up();
  void finish(Lane& lane, bool by_end_of_file);
  void close_connection(Lane& lane);

  Lane lanes_[kLanes];
  unsigned lane_count_ = kStandard;
  int terminal_ = -1;
  bool is_terminal_ = false;
  bool over_ = false;  // the process has ended
  // Of the terminal: bytes [first, last) of a page each.
  struct Page {
    std::byte* bytes = nullptr;
    std::size_t first = 0, last = 0;
  };
  Page pages_[2];
};

}  // namespace runhv::agent
