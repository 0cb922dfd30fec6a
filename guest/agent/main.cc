// The agent: first process of the guest. Order and protocol: guest/proto/README.md.

#include <linux/random.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "container.h"
#include "failure.h"
#include "frame.h"
#include "modules.h"
#include "oom.h"
#include "runhv_agent.h"
#include "start.h"
#include "streams.h"
#include "sys.h"
#include "vsock.h"

namespace runhv::agent {
namespace {

constexpr std::uint32_t kControlToken = 100;
constexpr std::uint32_t kSignalToken = 101;

[[noreturn]] void power_off() {
  for (;;) sys::outb(RUNHV_PORT_EXIT, 0);
}

// Without a control connection there is only the console to tell.
[[noreturn]] void die(const Failure& failure) {
  Text<512> line = Text<512>("agent: cannot ").add(failure.text.view()).add(", errno ");
  line.add_number(static_cast<std::uint64_t>(failure.guest_errno)).add("\n");
  // Opened now: its driver may be one of the modules.
  const int console = sys::open("/dev/console", O_WRONLY | O_NOCTTY);
  sys::write(console, line.c_str(), line.size());
  power_off();
}

// The memory of the agent: one frame of the largest size. Pages are made when they are touched.
alignas(16) std::byte frame_buffer[FrameReader::kRoom];

class Agent {
 public:
  Agent() : frames_(frame_buffer) {}

  [[noreturn]] void run() {
    // Without a console the kernel gives pid 1 no descriptors: nothing of ours may get the numbers
    // 0 to 2, onto which a child's streams are put.
    int taken;
    do {
      taken = sys::open("/", O_PATH | O_CLOEXEC);
    } while (taken >= 0 && taken < 2);
    Failure failure;
    if (!load_modules(failure)) die(failure);
    control_ = vsock_connect(RUNHV_CONTROL_PORT, 0);
    if (control_ < 0) {
      failure.set(control_, "connect to the host");
      die(failure);
    }
    const runhv_hello hello = {RUNHV_PROTO_MAGIC, RUNHV_PROTO_VERSION, 0};
    send(RUNHV_MSG_HELLO, &hello, sizeof hello);
    start();
    serve();
  }

 private:
  void send(std::uint16_t type, const void* payload, std::size_t size, std::string_view text = {}) {
    // One packet: a packet costs the host an exit.
    std::byte out[sizeof(runhv_frame) + sizeof(runhv_failed) + sizeof(Text<512>)];
    const runhv_frame header = {static_cast<std::uint32_t>(size + text.size()), type, 0};
    memcpy(out, &header, sizeof header);
    memcpy(out + sizeof header, payload, size);
    memcpy(out + sizeof header + size, text.data(), text.size());
    const std::size_t total = sizeof header + size + text.size();
    for (std::size_t sent = 0; sent < total;) {
      const long result = sys::send(control_, out + sent, total - sent, 0);
      if (result < 0 && result != -EINTR) power_off();
      if (result > 0) sent += static_cast<std::size_t>(result);
    }
  }

  // Reads once. False when nothing is there (with MSG_DONTWAIT).
  bool receive(int flags) {
    const std::span<std::byte> room = frames_.room();
    const long result = sys::recv(control_, room.data(), room.size(), flags);
    if (result == -EAGAIN || result == -EINTR) return false;
    // The host has gone: nobody is left to run for.
    if (result <= 0) power_off();
    frames_.received(static_cast<std::size_t>(result));
    return true;
  }

  bool next_frame(Frame& frame) {
    const FrameReader::Next next = frames_.next(frame);
    if (next == FrameReader::Next::kBroken) power_off();
    return next == FrameReader::Next::kFrame;
  }

  void start() {
    Frame frame;
    while (!next_frame(frame)) receive(0);
    if (frame.type == RUNHV_MSG_POWER_OFF) power_off();
    if (frame.type != RUNHV_MSG_START) power_off();

    Failure failure;
    StartRequest start;
    Text<512> error;
    if (!parse_start(frame.payload, start, error)) {
      failure.set(-EINVAL, error.view());
    } else {
      set_clock_and_entropy(start);
      // The handler's mask: children are told through a descriptor, not by interrupting us.
      const std::uint64_t child_signal = std::uint64_t{1} << (SIGCHLD - 1);
      sys::sigprocmask(SIG_BLOCK, &child_signal);
      own_pid_namespace_ = (start.namespaces & CLONE_NEWPID) != 0;
      if (streams_.open(start.stdio, failure)) first_ = start_container(start, streams_, failure);
    }
    if (failure.failed) {
      fail(failure);
      return;
    }
    sys::outb(RUNHV_PORT_STAGE, RUNHV_STAGE_PORT_FIRST_INSTRUCTION);
    streams_.close_container_ends();
    const runhv_started started = {0};
    send(RUNHV_MSG_STARTED, &started, sizeof started);
  }

  void fail(const Failure& failure) {
    // A path of an image may hold any byte, the protocol's text must be UTF-8.
    char text[sizeof(Text<512>)];
    const std::string_view view = failure.text.view();
    for (std::size_t i = 0; i < view.size(); ++i) {
      text[i] = view[i] >= ' ' && view[i] <= '~' ? view[i] : '?';
    }
    const runhv_failed failed = {0, failure.guest_errno, failure.exit_status};
    send(RUNHV_MSG_FAILED, &failed, sizeof failed, {text, view.size()});
    failed_ = true;
  }

  static void set_clock_and_entropy(const StartRequest& start) {
    if (start.clock_ns != 0) {
      const timespec now = {static_cast<time_t>(start.clock_ns / 1'000'000'000),
                            static_cast<long>(start.clock_ns % 1'000'000'000)};
      sys::clock_settime(CLOCK_REALTIME, &now);
    }
    if (start.entropy.empty()) return;
    struct {  // struct rand_pool_info of random(4)
      int entropy_bits = 256;
      int size = 32;
      std::byte bytes[32];
    } pool;
    memcpy(pool.bytes, start.entropy.data(), sizeof pool.bytes);
    const int random = sys::open("/dev/random", O_WRONLY);
    if (random < 0) return;
    sys::ioctl(random, RNDADDENTROPY, &pool);
    sys::ioctl(random, RNDRESEEDCRNG, nullptr);
    sys::close(random);
  }

  [[noreturn]] void serve() {
    const int epoll = sys::epoll_create();
    const std::uint64_t child_signal = std::uint64_t{1} << (SIGCHLD - 1);
    const int children = sys::signalfd(-1, &child_signal, O_NONBLOCK | O_CLOEXEC);
    epoll_event event = {};
    event.events = EPOLLIN | EPOLLRDHUP;
    event.data.u32 = kControlToken;
    sys::epoll_ctl(epoll, EPOLL_CTL_ADD, control_, &event);
    event.data.u32 = kSignalToken;
    sys::epoll_ctl(epoll, EPOLL_CTL_ADD, children, &event);
    if (!failed_) streams_.watch(epoll);
    handle_frames();  // what came with START

    for (;;) {
      epoll_event events[8];
      const long count = sys::call(__NR_epoll_wait, epoll, events, 8, streams_.busy() ? 0 : -1);
      for (long i = 0; i < count; ++i) {
        const std::uint32_t token = events[i].data.u32;
        if (token == kControlToken) {
          if (receive(MSG_DONTWAIT)) handle_frames();
        } else if (token == kSignalToken) {
          char information[128];  // struct signalfd_siginfo: wait4 tells all there is
          sys::read(children, information, sizeof information);
          reap();
        } else {
          streams_.move(token);
        }
      }
      for (unsigned stream = 0; stream < 3; ++stream) {
        if (streams_.busy(stream)) streams_.move(stream);
      }
    }
  }

  void handle_frames() {
    Frame frame;
    while (next_frame(frame)) {
      runhv_signal signal;
      if (frame.type != RUNHV_MSG_SIGNAL || frame.payload.size() != sizeof signal) power_off();
      memcpy(&signal, frame.payload.data(), sizeof signal);
      if (signal.process != 0 || signal.signal == 0 || signal.signal > 64) power_off();
      if (first_ > 0 && !ended_) sys::kill(first_, static_cast<int>(signal.signal));
    }
  }

  void reap() {
    int status;
    for (;;) {
      const long pid = sys::wait4(-1, &status, WNOHANG);
      if (pid <= 0) return;
      if (pid == first_) on_first_process_end(status);
    }
  }

  void on_first_process_end(int status) {
    ended_ = true;
    // With a pid namespace the kernel has killed the rest. Without one, all that is left is ours,
    // and its ends of the pipes close with it.
    if (!own_pid_namespace_) {
      sys::kill(-1, SIGKILL);
      while (sys::wait4(-1, nullptr, 0) > 0) {
      }
    }
    for (const unsigned output : {1u, 2u}) streams_.move(output);
    // Said before the outputs are drained: a host that cannot take them must know that nothing else
    // is to come.
    const runhv_exited exited = {
        0, WIFSIGNALED(status) ? 1u : 0u,
        static_cast<std::uint32_t>(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)),
        status != 0 ? count_oom_kills() : 0};
    send(RUNHV_MSG_EXITED, &exited, sizeof exited);
  }

  int control_ = -1;
  FrameReader frames_;
  Streams streams_;
  int first_ = -1;
  bool own_pid_namespace_ = false;
  bool ended_ = false;   // the first process
  bool failed_ = false;  // FAILED has been sent
};

}  // namespace
}  // namespace runhv::agent

extern "C" [[noreturn]] void agent_main() {
  using namespace runhv::agent;
  if (sys::iopl(3) == 0) sys::outb(RUNHV_PORT_STAGE, RUNHV_STAGE_PORT_AGENT);
  static Agent agent;
  agent.run();
}
