#include "streams.h"

#include "sys.h"
#include "vsock.h"

namespace runhv::agent {
namespace {

constexpr std::size_t kStep = 64u << 10;  // a pipe's room
constexpr int kStepsAtOnce = 16;

}  // namespace

bool Streams::open(const runhv_stdio& stdio, Failure& failure) {
  const std::uint32_t ports[3] = {stdio.stdin_port, stdio.stdout_port, stdio.stderr_port};
  for (unsigned stream = 0; stream < 3; ++stream) {
    if (ports[stream] == 0) continue;
    Lane& lane = lanes_[stream];
    int ends[2];
    const long result = sys::pipe2(ends, O_CLOEXEC);
    if (result < 0) return failure.set(result, "make a pipe");
    lane.agent = ends[stream == 0 ? 1 : 0];
    lane.container = ends[stream == 0 ? 0 : 1];
    lane.connection = vsock_connect(ports[stream], SOCK_NONBLOCK);
    if (lane.connection < 0) return failure.set(lane.connection, "connect a standard stream");
  }
  return true;
}

void Streams::close_container_ends() {
  for (Lane& lane : lanes_) {
    if (lane.container >= 0) sys::close(lane.container);
    lane.container = -1;
  }
}

void Streams::watch(int epoll) {
  for (unsigned stream = 0; stream < 3; ++stream) {
    const Lane& lane = lanes_[stream];
    if (lane.finished()) continue;
    // Edge-triggered: move() goes on until one side says EAGAIN, whichever it is.
    epoll_event event = {};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.u32 = stream;
    sys::epoll_ctl(epoll, EPOLL_CTL_ADD, lane.connection, &event);
    sys::epoll_ctl(epoll, EPOLL_CTL_ADD, lane.agent, &event);
  }
}

void Streams::move(unsigned stream) {
  Lane& lane = lanes_[stream];
  if (lane.finished()) return;
  const bool output = stream != 0;
  const int from = output ? lane.agent : lane.connection;
  const int to = output ? lane.connection : lane.agent;
  for (int step = 0; step < kStepsAtOnce; ++step) {
    const long moved = sys::splice(from, to, kStep, 2 /* SPLICE_F_NONBLOCK */);
    if (moved > 0 || moved == -EINTR) continue;
    // ENOTCONN: still connecting; the end of that is an event.
    if (moved == -EAGAIN || moved == -ENOTCONN) {
      lane.busy = false;
      return;
    }
    finish(lane, moved == 0, output);
    return;
  }
  lane.busy = true;
}

void Streams::finish(Lane& lane, bool by_end_of_file, bool output) {
  // End of an output: tell the host, and keep the connection until the host has taken the bytes.
  // Otherwise one side has gone: close both, so that the other one learns it.
  if (output && by_end_of_file) {
    sys::shutdown(lane.connection, SHUT_WR);
  } else if (!output && by_end_of_file) {
    // The host has no more input: the container reads end of file.
  } else {
    sys::shutdown(lane.connection, SHUT_RDWR);
    sys::close(lane.connection);
    lane.connection = -1;
  }
  sys::close(lane.agent);
  lane.agent = -1;
  lane.busy = false;
}

}  // namespace runhv::agent
