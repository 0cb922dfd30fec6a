// The agent: first process of the guest. Order and protocol: guest/proto/README.md.

#include <linux/random.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "archive.h"
#include "container_network.h"
#include "containers.h"
#include "control.h"
#include "failure.h"
#include "launch.h"
#include "left_outputs.h"
#include "modules.h"
#include "oom.h"
#include "processes.h"
#include "request.h"
#include "runhv_agent.h"
#include "sys.h"
#include "terminal.h"

namespace runhv::agent {
namespace {

// Epoll tokens: those of process i begin at i * kTokens, with its streams.
constexpr std::uint32_t kTokens = Streams::kLanes + 1;
constexpr std::uint32_t kReportToken = Streams::kLanes;  // of a process
constexpr std::uint32_t kControlToken = RUNHV_MAX_PROCESSES * kTokens;
constexpr std::uint32_t kChildrenToken = kControlToken + 1;
constexpr std::uint32_t kLeftToken = kChildrenToken + 1;
constexpr std::uint32_t kNetworkToken = kLeftToken + 1;  // and those behind it

// Without a control connection there is only the console to tell.
[[noreturn]] void die(const Failure& failure) {
  Text<512> line = Text<512>("agent: cannot ").add(failure.text.view()).add(", errno ");
  line.add_number(static_cast<std::uint64_t>(failure.guest_errno)).add("\n");
  // Opened now: its driver may be one of the modules.
  const int console = sys::open("/dev/console", O_WRONLY | O_NOCTTY);
  sys::write(console, line.c_str(), line.size());
  power_off();
}

// One frame of the largest size. Pages are made when they are touched.
alignas(16) std::byte frame_buffer[FrameReader::kRoom];

class Agent {
 public:
  Agent() : control_(frame_buffer) {}

  [[noreturn]] void run() {
    // Without a console the kernel gives pid 1 no descriptors: nothing of ours may get the numbers
    // 0 to 2, onto which a child's streams are put.
    occupy(Streams::kStandard);
    // Children are in this memory when they join a container's user namespace already.
    sys::prctl(PR_SET_DUMPABLE, 0);
    Failure failure;
    if (!load_modules(failure) || !control_.open(failure)) die(failure);
    // The handler's mask: children are told through a descriptor, not by interrupting us.
    const std::uint64_t child_signal = std::uint64_t{1} << (SIGCHLD - 1);
    sys::sigprocmask(SIG_BLOCK, &child_signal);
    // The first process is on its way before anything is made that only the rest of the life needs.
    while (processes_.find(0) == nullptr) {
      control_.receive(0);
      handle_frames();
    }
    watch_all();
    serve();
  }

 private:
  // Nothing that is opened later gets a number below `end`.
  static void occupy(int end) {
    int taken;
    do {
      taken = sys::open("/", O_PATH | O_CLOEXEC);
    } while (taken >= 0 && taken < end - 1);
    if (taken >= end) sys::close(taken);
  }

  void handle_frames() {
    Frame frame;
    while (control_.next(frame)) handle(frame);
  }

  template <typename Head>
  static Head head_of(const Frame& frame, bool whole = true) {
    Head head;
    if (whole ? frame.payload.size() != sizeof head : frame.payload.size() < sizeof head)
      power_off();
    memcpy(&head, frame.payload.data(), sizeof head);
    return head;
  }

  void handle(const Frame& frame) {
    switch (frame.type) {
      case RUNHV_MSG_CONTAINER:
        return keep_container(frame.payload);
      case RUNHV_MSG_PREPARE: {
        const auto head = head_of<runhv_prepare>(frame, false);
        return start_process(head, frame.payload.subspan(sizeof head));
      }
      case RUNHV_MSG_EXECUTE:
        return on_execute(head_of<runhv_process_id>(frame).process);
      case RUNHV_MSG_SIGNAL: {
        const auto signal = head_of<runhv_signal>(frame);
        if (signal.signal == 0 || signal.signal > 64) power_off();
        return on_signal(signal);
      }
      case RUNHV_MSG_RESOURCES: {
        const auto head = head_of<runhv_resources>(frame, false);
        return set_resources(head.container, frame.payload.subspan(sizeof head));
      }
      case RUNHV_MSG_RESIZE: {
        const auto size = head_of<runhv_resize>(frame);
        Process* process = processes_.find(size.process);
        if (process != nullptr && process->streams.terminal() >= 0) {
          set_terminal_size(process->streams.terminal(), size.columns, size.rows);
        }
        return;
      }
      case RUNHV_MSG_NETWORK:
        return change_network(frame.payload);
      default:
        power_off();
    }
  }

  // ---- containers ----
  // The records stay until the first process has made the first container of them.
  void keep_container(std::span<const std::byte> records) {
    if (container_memory_ != nullptr || made_) power_off();
    container_memory_ = static_cast<std::byte*>(sys::map(records.size()));
    if (sys::map_failed(container_memory_)) power_off();
    container_bytes_ = records.size();
    memcpy(container_memory_, records.data(), records.size());
    Container& first = containers_.first();
    const ContainerRequest& request = first.request;
    container_ok_ = parse({container_memory_, records.size()}, first.request, container_error_);
    if (!container_ok_) return;
    first.namespaces = request.namespaces;
    first.set_users();
    if (first.has_users() && request.uid_map.empty()) {
      container_ok_ = false;
      container_error_.add("the first container's user namespace has no maps");
      return;
    }
    set_clock_and_entropy(request);
    // In the network that the container sees.
    if (request.has_resolver && !first.has_users()) open_resolver(request.resolver, 0);
  }

  void open_resolver(const runhv_resolver& resolver, int pid) {
    Failure failure;
    network_.open_resolver(resolver, pid, failure);
    if (failure.failed) warn(failure);
  }

  void change_network(std::span<const std::byte> records) {
    Container& first = containers_.first();
    Failure failure;
    network_.change(records, first.has_users() ? first.pid : 0, failure);
    if (failure.failed) warn(failure);
  }

  void warn(const Failure& failure) {
    control_.send_id(RUNHV_MSG_WARNING, 0,
                     Text<512>("its network is not as it should be: cannot ")
                         .add(failure.text.view())
                         .add(", errno ")
                         .add_number(static_cast<std::uint64_t>(failure.guest_errno))
                         .view());
  }

  void set_resources(std::uint32_t number, std::span<const std::byte> records) {
    Failure failure;
    ResourcesRequest request;
    Text<512> error;
    Container* container = containers_.find(number);
    if (!parse(records, request, error)) {
      failure.set(-EINVAL, error.view());
    } else if (container == nullptr) {
      failure.set(-ESRCH, "the container has ended");
    } else {
      container->set_resources(request, failure);
    }
    const runhv_resources_set set = {failure.guest_errno, 0};
    control_.send_text(RUNHV_MSG_RESOURCES_SET, set, failure);
  }

  static void set_clock_and_entropy(const ContainerRequest& request) {
    if (request.clock_ns != 0) {
      const timespec now = {static_cast<time_t>(request.clock_ns / 1'000'000'000),
                            static_cast<long>(request.clock_ns % 1'000'000'000)};
      sys::clock_settime(CLOCK_REALTIME, &now);
    }
    if (request.entropy.empty()) return;
    struct {  // struct rand_pool_info of random(4)
      int entropy_bits = 256;
      int size = 32;
      std::byte bytes[32];
    } pool;
    memcpy(pool.bytes, request.entropy.data(), sizeof pool.bytes);
    const int random = sys::open("/dev/random", O_WRONLY);
    if (random < 0) return;
    sys::ioctl(random, RNDADDENTROPY, &pool);
    sys::ioctl(random, RNDRESEEDCRNG, nullptr);
    sys::close(random);
  }

  void forget_records() {
    if (container_memory_ != nullptr) sys::unmap(container_memory_, container_bytes_);
    container_memory_ = nullptr;
    made_ = true;
  }

  // ---- processes ----
  void start_process(const runhv_prepare& head, std::span<const std::byte> records) {
    const std::uint32_t id = head.process;
    const bool first = id == 0;
    const bool is_new = head.container_bytes != 0;
    if (processes_.find(id) != nullptr || (first ? made_ : containers_.first().pid <= 0) ||
        (is_new && first) || (id == head.container) != (first || is_new) ||
        head.container_bytes > records.size()) {
      power_off();
    }
    Failure failure;
    // The host may not know yet what has ended, and what still has bytes on their way.
    Container* container = nullptr;
    if (!over_) container = is_new ? containers_.add(id) : containers_.find(head.container);
    Process* room = container == nullptr ? nullptr : processes_.add(id);
    if (room == nullptr) {
      if (container != nullptr) {
        failure.set(-EAGAIN, "the guest has 128 processes");
      } else if (is_new && !over_) {
        failure.set(-EAGAIN, "the guest has 64 containers");
      } else {
        failure.set(-ESRCH, "the container has ended");
      }
      if (is_new) containers_.forget(id);
      return control_.send_failure(id, failure);
    }
    Process& process = *room;
    process.container = head.container;
    process.execute = (head.flags & RUNHV_PREPARE_EXECUTE) != 0;
    process.state = Process::State::kPreparing;
    std::span<const std::byte> copy;
    process.launch = make_launch(records, copy);
    if (process.launch == nullptr) {
      failure.set(-ENOMEM, "make room for a process");
      return fail(process, failure);
    }
    Text<512> error;
    if (first && !container_ok_) error.add(container_error_.view());
    if (is_new) parse(copy.first(head.container_bytes), container->request, error);
    if (error.size() != 0 ||
        !parse(copy.subspan(head.container_bytes), process.launch->process, error)) {
      failure.set(-EINVAL, error.view());
      return fail(process, failure);
    }
    if (is_new && !containers_.join_first(*container, failure)) return fail(process, failure);
    const ProcessRequest& request = process.launch->process;
    process.archives = request.is_archive();
    if (process.is_first() && container->request.has_cgroup && !container->make_cgroup(failure)) {
      return fail(process, failure);
    }
    // The child puts its ends onto these numbers, and needs others until then.
    if (request.descriptor_count != 0) {
      occupy(static_cast<int>(Streams::kStandard + request.descriptor_count));
    }
    if (!process.streams.open(request.stdio, request.more_descriptors(), failure) ||
        (!process.is_first() && !containers_.join(*container, request, failure))) {
      return fail(process, failure);
    }
    Launch& launch = *process.launch;
    launch.number = container->number;
    launch.container = process.is_first() ? &container->request : nullptr;
    launch.joined = is_new ? containers_.first().pidfd : container->pidfd;
    launch.joined_namespaces =
        process.is_first() ? container->joined_namespaces : container->namespaces_to_join();
    launch.namespaces = container->namespaces;
    if (container->has_users()) launch.users = &container->users;
    launch.has_time_offsets = container->request.has_time_offsets;
    launch.time_offsets = container->request.time_offsets;
    launch.in_cgroup = container->in_cgroup;
    launch.device_filter = container->device_filter;
    launch.streams = &process.streams;
    // Nothing else waits for the agent yet: the cheap way, without a pipe.
    const bool makes_users = process.is_first() && launch.users != nullptr;
    if (first && process.execute && !request.wants_terminal() && !makes_users) {
      process.pid = execute_at_once(launch);
      if (process.pid < 0) return fail(process, launch.failure);
      return on_executed(process);
    }
    launch.stops = !process.execute || request.wants_terminal() || makes_users;
    process.pid = prepare(launch, process.report);
    if (process.pid < 0) return fail(process, launch.failure);
    // The child, which shares this memory, looks for its ends of the streams yet.
    if (epoll_ >= 0) watch_report(process);
  }

  void watch_report(Process& process) {
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.u32 = process.index * kTokens + kReportToken;
    sys::epoll_ctl(epoll_, EPOLL_CTL_ADD, process.report, &event);
  }

  // Prepared, executed, or dead.
  void on_report(Process& process) {
    char byte;
    const long result = sys::read(process.report, &byte, 1);
    if (result < 0) return;
    if (result == 1) return on_prepared(process);
    sys::close(process.report);
    process.report = -1;
    if (!executed(*process.launch)) return fail(process, process.launch->failure);
    on_executed(process);
    if (process.reaped) on_end(process, process.status);
  }

  void on_prepared(Process& process) {
    process.state = Process::State::kPrepared;
    // Others can join it already.
    if (process.is_first()) containers_.find(process.id)->pid = process.pid;
    if (process.launch->process.wants_terminal()) {
      const int child = sys::pidfd_open(process.pid);
      const int terminal = child < 0 ? child : sys::pidfd_getfd(child, process.launch->terminal);
      if (child >= 0) sys::close(child);
      if (terminal < 0) {
        process.launch->failure.set(terminal, "take over the terminal");
        sys::kill(process.pid, SIGKILL);  // the rest at the end of the pipe
        return;
      }
      process.streams.set_terminal(terminal);
    }
    // Of a container with users its maker's child would not be there under a policy that keeps it
    // from having any; and nobody's set-up is to run under the policy of a program.
    Launch& launch = *process.launch;
    if (launch.container != nullptr && launch.users != nullptr &&
        !set_scheduler(launch.process, process.pid, launch.failure)) {
      sys::kill(process.pid, SIGKILL);  // the rest at the end of the pipe
      return;
    }
    const Container& first = containers_.first();
    if (process.id == 0 && first.has_users() && first.request.has_resolver) {
      open_resolver(first.request.resolver, process.pid);
    }
    if (process.execute) return release(process);
    control_.send_id(RUNHV_MSG_PREPARED, process.id);
  }

  void on_execute(std::uint32_t id) {
    Process* process = processes_.find(id);
    if (process == nullptr || process->state == Process::State::kOver) return;
    if (process->execute || !process->is_launching()) power_off();
    process->execute = true;
    if (process->state == Process::State::kPrepared) release(*process);
  }

  static void release(Process& process) {
    process.state = Process::State::kExecuting;
    execute(*process.launch);
  }

  void on_executed(Process& process) {
    if (process.id == 0) {
      sys::outb(RUNHV_PORT_STAGE, RUNHV_STAGE_PORT_FIRST_INSTRUCTION);
    }
    if (process.is_first()) containers_.find(process.id)->pid = process.pid;
    if (process.id == 0) containers_.keep_namespaces();
    process.state = Process::State::kRunning;
    process.streams.close_container_ends();
    control_.send_id(RUNHV_MSG_STARTED, process.id);
    warn(process);
    end_launch(process);
    for (std::uint32_t signal = 1; process.signals != 0; ++signal, process.signals >>= 1) {
      if ((process.signals & 1) != 0) sys::kill(process.pid, static_cast<int>(signal));
    }
    if (epoll_ >= 0) process.streams.watch(epoll_, process.index * kTokens);
  }

  void warn(const Process& process) {
    const std::uint64_t refused = process.launch->refused_capabilities;
    for (std::uint64_t number = 0; number < 64; ++number) {
      if ((refused >> number & 1) == 0) continue;
      control_.send_id(
          RUNHV_MSG_WARNING, process.id,
          Text<64>("capability ").add_number(number).add(" cannot be made ambient").view());
    }
  }

  void end_launch(Process& process) {
    if (process.launch != nullptr) free_launch(process.launch);
    process.launch = nullptr;
    if (process.id == 0) forget_records();
  }

  void fail(Process& process, const Failure& failure) {
    control_.send_failure(process.id, failure);
    if (process.report >= 0) sys::close(process.report);
    process.report = -1;
    process.streams.close();
    end_launch(process);
    if (process.is_first() && process.id != 0) {
      // Its cgroup is not empty before.
      if (process.pid > 0 && !process.reaped) sys::wait4(process.pid, nullptr, 0);
      containers_.forget(process.id);
    }
    // The first one's number stays taken: the host powers off.
    process.state = process.id == 0 ? Process::State::kOver : Process::State::kFree;
  }

  void on_signal(const runhv_signal& signal) {
    Process* process = processes_.find(signal.process);
    if (process == nullptr || !process->is_alive()) return;
    if (process->state == Process::State::kRunning || signal.signal == SIGKILL) {
      sys::kill(process->pid, static_cast<int>(signal.signal));
    } else {
      process->signals |= std::uint64_t{1} << (signal.signal - 1);
    }
  }

  void reap() {
    for (;;) {
      int status;
      const long pid = sys::wait4(-1, &status, WNOHANG);
      if (pid <= 0) return;
      for (Process* each : processes_.all()) {
        Process& process = *each;
        if (!process.is_alive() || process.pid != pid) continue;
        on_reaped(process, status);
        break;
      }
    }
  }

  void on_reaped(Process& process, int status) {
    if (process.state == Process::State::kRunning) return on_end(process, status);
    process.reaped = true;
    process.status = status;
  }

  // The kernel ends them with no pid namespace of the container's.
  void end_archivers(std::uint32_t container) {
    for (Process* each : processes_.all()) {
      Process& process = *each;
      if (!process.is_archiver_of(container)) continue;
      int status = 0;
      sys::kill(process.pid, SIGKILL);
      sys::wait4(process.pid, &status, 0);
      on_reaped(process, status);
    }
  }

  void on_end(Process& process, int status) {
    process.state = Process::State::kOver;
    if (process.id == 0) end_all();
    if (process.is_first() && process.id != 0) {
      end_archivers(process.id);
      containers_.forget(process.id);
    }
    process.streams.move_outputs();
    std::uint32_t kills = 0;
    if (status != 0) {
      kills = mount_proc() == 0 ? count_oom_kills() : 0;
      if (kills > oom_kills_) {
        oom_kills_ = kills;
        const runhv_out_of_memory memory = {kills, 0};
        control_.send(RUNHV_MSG_OUT_OF_MEMORY, &memory, sizeof memory);
      }
    }
    // Said before the outputs are drained: a host that cannot take them must know that nothing else
    // is to come.
    const runhv_exited exited = {
        process.id, WIFSIGNALED(status) ? 1u : 0u,
        static_cast<std::uint32_t>(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)),
        kills};
    control_.send(RUNHV_MSG_EXITED, &exited, sizeof exited);
    process.streams.end_process();
    release_finished(process);
  }

  void end_all() {
    over_ = true;
    // With a pid namespace the kernel has killed the rest of the container. What else there is is
    // ours, and its ends of the pipes close with it.
    bool left = (containers_.first().namespaces & CLONE_NEWPID) == 0 || containers_.has_others();
    for (const Process* process : processes_.all()) left = left || process->is_archiver_of(0);
    if (left) {
      sys::kill(-1, SIGKILL);
      while (sys::wait4(-1, nullptr, 0) > 0) {
      }
    }
    for (Process* each : processes_.all()) {
      Process& process = *each;
      if (process.id != 0 && process.is_alive()) process.state = Process::State::kOver;
    }
  }

  void release_finished(Process& process) {
    if (process.state != Process::State::kOver || process.id == 0) return;
    for (int left; (left = process.streams.take_left()) >= 0;) {
      left_outputs_.add(left, epoll_, kLeftToken);
    }
    if (!process.streams.finished()) return;
    process.streams.close();
    if (process.launch != nullptr) end_launch(process);
    process.state = Process::State::kFree;
  }

  // ---- the rest of the life ----
  void watch_all() {
    epoll_ = sys::epoll_create();
    const std::uint64_t child_signal = std::uint64_t{1} << (SIGCHLD - 1);
    children_ = sys::signalfd(-1, &child_signal, O_NONBLOCK | O_CLOEXEC);
    epoll_event event = {};
    event.events = EPOLLIN | EPOLLRDHUP;
    event.data.u32 = kControlToken;
    sys::epoll_ctl(epoll_, EPOLL_CTL_ADD, control_.descriptor(), &event);
    event.data.u32 = kChildrenToken;
    sys::epoll_ctl(epoll_, EPOLL_CTL_ADD, children_, &event);
    for (Process* each : processes_.all()) {
      Process& process = *each;
      if (process.report >= 0) watch_report(process);
      if (process.state == Process::State::kRunning) {
        process.streams.watch(epoll_, process.index * kTokens);
      }
    }
    network_.watch(epoll_, kNetworkToken);
  }

  bool busy() {
    for (const Process* process : processes_.all()) {
      if (process->streams.busy()) return true;
    }
    return network_.busy();
  }

  [[noreturn]] void serve() {
    for (;;) {
      epoll_event events[8];
      const long count = sys::call(__NR_epoll_wait, epoll_, events, 8, busy() ? 0 : -1);
      for (long i = 0; i < count; ++i) on_event(events[i].data.u32, events[i].events);
      for (Process* each : processes_.all()) {
        Process& process = *each;
        for (unsigned lane = 0; lane < process.streams.lane_count(); ++lane) {
          if (process.streams.busy(lane)) process.streams.move(lane);
        }
        release_finished(process);
      }
      network_.go_on();
    }
  }

  void on_event(std::uint32_t token, std::uint32_t events) {
    if (token == kControlToken) {
      control_.receive(MSG_DONTWAIT);
      return handle_frames();
    }
    if (token == kChildrenToken) {
      char information[128];  // struct signalfd_siginfo: wait4 tells all there is
      sys::read(children_, information, sizeof information);
      return reap();
    }
    if (token == kLeftToken) return left_outputs_.drain();
    if (token >= kNetworkToken) return network_.on_event(token - kNetworkToken);
    Process& process = processes_.at(token / kTokens);
    if (token % kTokens != kReportToken) {
      process.streams.move(token % kTokens);
      if ((events & EPOLLRDHUP) != 0) process.streams.look_at_host(token % kTokens);
    } else if (process.report >= 0) {
      on_report(process);
    }
  }

  Control control_;
  int epoll_ = -1;
  int children_ = -1;
  Containers containers_;
  Processes processes_;
  LeftOutputs left_outputs_;
  ContainerNetwork network_;
  // The first container's records, and whether they are right.
  std::byte* container_memory_ = nullptr;
  std::size_t container_bytes_ = 0;
  bool container_ok_ = false;
  bool made_ = false;  // the first container, or it failed
  Text<512> container_error_;
  bool over_ = false;  // the first process has ended
  std::uint32_t oom_kills_ = 0;
};

}  // namespace
}  // namespace runhv::agent

extern "C" [[noreturn]] void agent_main() {
  using namespace runhv::agent;
  // It is the first process of the guest; another one is started by it (launch.cc).
  if (sys::getpid() != 1) write_archive();
  if (sys::iopl(3) == 0) sys::outb(RUNHV_PORT_STAGE, RUNHV_STAGE_PORT_AGENT);
  static Agent agent;
  agent.run();
}
