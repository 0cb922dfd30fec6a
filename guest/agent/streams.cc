#include "streams.h"

#include <utility>

#include "sys.h"
#include "vsock.h"

namespace runhv::agent {
namespace {

constexpr std::size_t kStep = 64u << 10;  // a pipe's room
constexpr int kStepsAtOnce = 16;
constexpr std::size_t kPageBytes = 4096;
constexpr unsigned kInput = 0;  // lanes of a terminal
constexpr unsigned kOutput = 1;

void close_if_open(int& file) {
  if (file >= 0) sys::close(file);
  file = -1;
}

}  // namespace

bool Streams::open(const runhv_stdio& stdio, std::span<const runhv_descriptor> descriptors,
                   Failure& failure) {
  const std::uint32_t ports[kStandard] = {stdio.stdin_port, stdio.stdout_port, stdio.stderr_port};
  lane_count_ = kStandard + static_cast<unsigned>(descriptors.size());
  is_terminal_ = (stdio.flags & RUNHV_STDIO_TERMINAL) != 0;
  if (is_terminal_) {
    void* memory = sys::map(2 * kPageBytes);
    if (sys::map_failed(memory)) return failure.set(-ENOMEM, "make room for a terminal");
    pages_[kInput].bytes = static_cast<std::byte*>(memory);
    pages_[kOutput].bytes = pages_[kInput].bytes + kPageBytes;
  }
  for (unsigned stream = 0; stream < kStandard; ++stream) {
    if (ports[stream] != 0 && !open_lane(lanes_[stream], ports[stream], stream != 0, failure)) {
      return false;
    }
  }
  for (unsigned stream = kStandard; stream < lane_count_; ++stream) {
    const runhv_descriptor& descriptor = descriptors[stream - kStandard];
    const bool output = (descriptor.flags & RUNHV_DESCRIPTOR_TO_HOST) != 0;
    if (!open_lane(lanes_[stream], descriptor.port, output, failure)) return false;
  }
  return true;
}

// A terminal's is a connection alone.
bool Streams::open_lane(Lane& lane, std::uint32_t port, bool output, Failure& failure) {
  lane.output = output;
  if (!is_terminal_ || &lane >= lanes_ + kStandard) {
    int ends[2];
    const long result = sys::pipe2(ends, O_CLOEXEC);
    if (result < 0) return failure.set(result, "make a pipe");
    lane.agent = ends[output ? 0 : 1];
    lane.container = ends[output ? 1 : 0];
  }
  lane.connection = vsock_connect(port, SOCK_NONBLOCK);
  return lane.connection >= 0 || failure.set(lane.connection, "connect a stream");
}

void Streams::set_terminal(int terminal) {
  terminal_ = terminal;
  sys::fcntl(terminal, F_SETFL, O_RDWR | O_NONBLOCK);
}

void Streams::close_container_ends() {
  for (Lane& lane : lanes_) close_if_open(lane.container);
}

void Streams::watch(int epoll, std::uint32_t first_token) {
  // Edge-triggered: move() goes on until one side says EAGAIN, whichever it is.
  epoll_event event = {};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  for (unsigned stream = 0; stream < lane_count_; ++stream) {
    const Lane& lane = lanes_[stream];
    event.data.u32 = first_token + stream;
    if (lane.connection >= 0) sys::epoll_ctl(epoll, EPOLL_CTL_ADD, lane.connection, &event);
    if (lane.agent >= 0) sys::epoll_ctl(epoll, EPOLL_CTL_ADD, lane.agent, &event);
  }
  event.data.u32 = first_token;
  if (terminal_ >= 0) sys::epoll_ctl(epoll, EPOLL_CTL_ADD, terminal_, &event);
}

void Streams::move(unsigned lane) {
  if (is_terminal_ && lane < kStandard) {
    move_terminal(kInput);
    move_terminal(kOutput);
    return;
  }
  move_pipe(lanes_[lane]);
}

void Streams::look_at_host(unsigned lane) {
  Lane& output = lanes_[lane];
  if (is_terminal_ || !output.output || output.agent < 0 || output.connection < 0) return;
  if (sys::send(output.connection, nullptr, 0, MSG_DONTWAIT) == -EPIPE) finish(output, false);
}

void Streams::move_outputs() {
  if (is_terminal_) move(kOutput);
  for (unsigned lane = 0; lane < lane_count_; ++lane) {
    if (lanes_[lane].output) move(lane);
  }
}

void Streams::move_pipe(Lane& lane) {
  if (lane.drained) {
    // Whatever comes now, and be it bytes, only an end has a meaning.
    std::byte byte;
    const long result = sys::recv(lane.connection, &byte, 1, MSG_DONTWAIT);
    if (result != -EAGAIN && result != -EINTR) close_connection(lane);
    return;
  }
  if (lane.agent < 0 || lane.left) return;
  const int from = lane.output ? lane.agent : lane.connection;
  const int to = lane.output ? lane.connection : lane.agent;
  for (int step = 0; step < kStepsAtOnce; ++step) {
    const long moved = sys::splice(from, to, kStep, 2 /* SPLICE_F_NONBLOCK */);
    if (moved > 0 || moved == -EINTR) continue;
    // ENOTCONN: still connecting; the end of that is an event.
    if (moved == -EAGAIN || moved == -ENOTCONN) {
      lane.busy = false;
      return;
    }
    finish(lane, moved == 0);
    return;
  }
  lane.busy = true;
}

void Streams::move_terminal(unsigned direction) {
  const int connection = lanes_[0].connection;
  if (connection < 0 || terminal_ < 0) return;
  const bool output = direction == kOutput;
  Page& page = pages_[direction];
  Lane& lane = lanes_[direction];
  lane.busy = false;
  for (int step = 0; step < kStepsAtOnce; ++step) {
    if (page.first == page.last) {
      page.first = page.last = 0;
      const long got = output ? sys::read(terminal_, page.bytes, kPageBytes)
                              : sys::recv(connection, page.bytes, kPageBytes, MSG_DONTWAIT);
      if (got == -EINTR) continue;
      if (got == -EAGAIN || got == -ENOTCONN) return;
      // EIO: nobody holds the terminal any more. An end of the host's side hangs up.
      if (got <= 0) return hang_up();
      page.last = static_cast<std::size_t>(got);
    }
    const std::size_t size = page.last - page.first;
    const long put = output ? sys::send(connection, page.bytes + page.first, size, MSG_DONTWAIT)
                            : sys::write(terminal_, page.bytes + page.first, size);
    if (put == -EINTR) continue;
    if (put == -EAGAIN || put == -ENOTCONN) return;
    if (put < 0) return hang_up();
    page.first += static_cast<std::size_t>(put);
  }
  lane.busy = true;
}

void Streams::hang_up() {
  close_if_open(terminal_);
  sys::shutdown(lanes_[0].connection, SHUT_WR);
  // From here on a lane like that of a pipe at its end.
  is_terminal_ = false;
  lanes_[kInput].busy = lanes_[kOutput].busy = false;
  lanes_[kInput].drained = true;
}

void Streams::finish(Lane& lane, bool by_end_of_file) {
  lane.busy = false;
  lane.left = lane.output && !by_end_of_file && over_;
  if (!lane.left) close_if_open(lane.agent);
  // The end of an output: tell the host, and keep the connection until the host has taken the
  // bytes.
  if (lane.output && by_end_of_file) {
    sys::shutdown(lane.connection, SHUT_WR);
    lane.drained = true;
    return;
  }
  // One side has gone, or the host has no more input: close, so that the other one learns it.
  close_connection(lane);
}

void Streams::close_connection(Lane& lane) {
  lane.drained = false;
  close_if_open(lane.connection);
}

void Streams::end_process() {
  over_ = true;
  // A terminal ends with its last holder: it has no pipe.
  for (Lane& lane : lanes_) {
    if (!lane.output && lane.agent >= 0) finish(lane, false);
  }
}

int Streams::take_left() {
  for (Lane& lane : lanes_) {
    if (!lane.left) continue;
    lane.left = false;
    return std::exchange(lane.agent, -1);
  }
  return -1;
}

bool Streams::finished() const {
  for (const Lane& lane : lanes_) {
    if (lane.connection >= 0) return false;
  }
  return true;
}

void Streams::close() {
  for (Lane& lane : lanes_) {
    lane.busy = lane.drained = lane.left = false;
    close_if_open(lane.container);
    close_if_open(lane.agent);
    close_if_open(lane.connection);
  }
  close_if_open(terminal_);
  if (pages_[kInput].bytes != nullptr) sys::unmap(pages_[kInput].bytes, 2 * kPageBytes);
  pages_[kInput] = pages_[kOutput] = {};
  is_terminal_ = over_ = false;
}

}  // namespace runhv::agent
