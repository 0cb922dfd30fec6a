// The agent's ways to the host where there is no vsock: under QEMU, whose vsock needs a kernel
// module of the host. Stands in for vsock.cc and streams.cc of guest/agent; all else of the agent
// is the same.
//
// The control connection is answered in advance: CONTAINER and PREPARE lie in the initramfs as
// /start, so this guest pays no round trip for it. A stream is a port of virtio-serial, to which
// splice(2) passes the pages of the pipe themselves; vsock would copy them.

#include <linux/sched.h>
#include <sys/socket.h>

#include "runhv_agent.h"
#include "streams.h"
#include "sys.h"
#include "text.h"
#include "vsock.h"

namespace runhv::agent {
namespace {

// The other end of the control connection. It stays open: its end would power the machine off.
int control_peer = -1;

int open_port(std::uint32_t number) {
  // The first figure is the device's place among the virtio devices: disks are, too.
  for (unsigned device = 0; device < 3; ++device) {
    Text<32> path("/ports/vport");
    path.add_number(device).add("p").add_number(number);
    const int port = sys::open(path.c_str(), O_RDWR);
    if (port != -ENOENT) return port;
  }
  return -ENOENT;
}

int wait_for_port(std::uint32_t number) {
  for (;;) {
    const int port = open_port(number);
    // QEMU announces its ports when the driver asks for them: a moment after the driver is there.
    if (port != -ENOENT) return port;
    sys::call(__NR_sched_yield);
  }
}

}  // namespace

int vsock_connect(std::uint32_t, int) {
  int ends[2];
  const long made = sys::call(__NR_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
  if (made < 0) return static_cast<int>(made);
  control_peer = ends[1];
  const int start = sys::open("/start", O_RDONLY);
  if (start < 0) return start;
  static std::byte frame[64u << 10];  // less than a socket takes without a reader
  const long size = sys::read(start, frame, sizeof frame);
  sys::close(start);
  if (size < 0) return static_cast<int>(size);
  const long sent = sys::write(control_peer, frame, static_cast<std::size_t>(size));
  return sent == size ? ends[0] : -EIO;
}

bool Streams::open(const runhv_stdio& stdio, std::span<const runhv_descriptor>, Failure& failure) {
  // Not on /dev, where the agent will mount it: it cannot be mounted twice in one place.
  long result = sys::mkdir("/ports", 0700);
  if (result == 0) result = sys::mount("dev", "/ports", "devtmpfs", 0, nullptr);
  if (result < 0) return failure.set(result, "mount devtmpfs on /ports");
  for (const unsigned stream : {1u, 2u}) {
    Lane& lane = lanes_[stream];
    int ends[2];
    result = sys::pipe2(ends, O_CLOEXEC);
    if (result < 0) return failure.set(result, "make a pipe");
    lane.agent = ends[0];
    lane.container = ends[1];
    lane.output = true;
    const std::uint32_t port = stream == 1 ? stdio.stdout_port : stdio.stderr_port;
    lane.connection = wait_for_port(port - RUNHV_CONTROL_PORT);
    if (lane.connection < 0) return failure.set(lane.connection, "open a virtio-serial port");
  }
  return true;
}

void Streams::close_container_ends() {
  for (Lane& lane : lanes_) {
    if (lane.container >= 0) sys::close(lane.container);
    lane.container = -1;
  }
}

void Streams::watch(int epoll, std::uint32_t first_token) {
  for (const unsigned stream : {1u, 2u}) {
    // Level-triggered: splice to such a port says 0 for an empty pipe as well as for its end.
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.u32 = first_token + stream;
    sys::epoll_ctl(epoll, EPOLL_CTL_ADD, lanes_[stream].agent, &event);
  }
}

void Streams::move(unsigned stream) {
  Lane& lane = lanes_[stream];
  if (lane.agent < 0) return;
  constexpr std::size_t kStep = 64u << 10;  // a pipe's room
  if (sys::splice(lane.agent, lane.connection, kStep, 0) > 0) return;
  sys::close(lane.agent);
  lane.agent = -1;
}

void Streams::move_outputs() {
  for (const unsigned stream : {1u, 2u}) move(stream);
}

// The first process is the only one, without input and without a terminal.
void Streams::set_terminal(int) {}
void Streams::look_at_host(unsigned) {}
void Streams::end_process() {}
int Streams::take_left() { return -1; }
bool Streams::finished() const { return false; }
void Streams::close() {}

}  // namespace runhv::agent
