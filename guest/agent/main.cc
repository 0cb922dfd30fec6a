// The agent: first process of the guest. Order and protocol: guest/proto/README.md.

#include <linux/random.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <new>

#include "archive.h"
#include "cgroup.h"
#include "device_filter.h"
#include "failure.h"
#include "frame.h"
#include "launch.h"
#include "modules.h"
#include "network.h"
#include "oom.h"
#include "request.h"
#include "resolver.h"
#include "runhv_agent.h"
#include "streams.h"
#include "sys.h"
#include "terminal.h"
#include "vsock.h"

namespace runhv::agent {
namespace {

// Epoll tokens: those of process i begin at i * kTokens, with its streams.
constexpr std::uint32_t kTokens = Streams::kLanes + 1;
constexpr std::uint32_t kReportToken = Streams::kLanes;  // of a process
constexpr std::uint32_t kControlToken = RUNHV_MAX_PROCESSES * kTokens;
constexpr std::uint32_t kChildrenToken = kControlToken + 1;
constexpr std::uint32_t kResolverToken = kChildrenToken + 1;  // and those behind it
constexpr std::uint32_t kAgent = UINT32_MAX;                  // no container's number

// linux/pidfd.h, since Linux 6.11.
constexpr unsigned long kPidfdGetIpcNamespace = _IO(0xff, 2);
constexpr unsigned long kPidfdGetMountNamespace = _IO(0xff, 3);
constexpr unsigned long kPidfdGetNetworkNamespace = _IO(0xff, 4);

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

// From CONTAINER, or from the PREPARE of its first process, to the end of that.
struct Container {
  std::uint32_t number = 0;  // its first process's
  ContainerRequest request;  // until its first process is in place
  std::uint32_t namespaces = 0;
  std::uint32_t joined_namespaces = 0;  // of the first container's
  Users users;                          // where it has a user namespace
  bool in_cgroup = false;
  int device_filter = -1;  // its program, where there is one
  int pid = -1;            // of its first process, once that runs
  int pidfd = -1;          // the same; made where it is wanted

  std::uint32_t namespaces_to_join() const {
    // A process cannot change its own pid namespace, and nobody who shares the agent's memory its
    // clocks.
    return (namespaces | joined_namespaces) & ~std::uint32_t{CLONE_NEWPID | CLONE_NEWTIME};
  }
};

// A process of a container, from PREPARE to the end of its streams.
struct Process {
  enum class State : std::uint8_t {
    kFree,
    kPreparing,  // the child exists
    kPrepared,   // it waits for EXECUTE
    kExecuting,
    kRunning,
    kOver  // FAILED or EXITED was sent; its output may be on its way
  };
  State state = State::kFree;
  bool execute = false;   // EXECUTE has come
  bool archives = false;  // it is in the agent's pid namespace
  bool reaped = false;    // with `status`, before its launch was over
  int status = 0;
  int pid = -1;
  int report = -1;
  std::uint32_t index = 0;  // in the agent's table
  std::uint32_t id = 0;
  std::uint32_t container = 0;
  std::uint64_t signals = 0;  // kept until it runs; bit n - 1
  Launch* launch = nullptr;
  Streams streams;

  bool is_launching() const {
    return state == State::kPreparing || state == State::kPrepared || state == State::kExecuting;
  }
  bool is_alive() const { return is_launching() || state == State::kRunning; }
  bool is_first() const { return id == container; }
  bool is_archiver_of(std::uint32_t number) const {
    return archives && container == number && is_alive() && !reaped;
  }
};

// One frame of the largest size. Pages are made when they are touched.
alignas(16) std::byte frame_buffer[FrameReader::kRoom];

class Agent {
 public:
  Agent() : frames_(frame_buffer) {}

  [[noreturn]] void run() {
    // Without a console the kernel gives pid 1 no descriptors: nothing of ours may get the numbers
    // 0 to 2, onto which a child's streams are put.
    occupy(Streams::kStandard);
    // Children are in this memory when they join a container's user namespace already.
    sys::prctl(PR_SET_DUMPABLE, 0);
    Failure failure;
    if (!load_modules(failure)) die(failure);
    control_ = vsock_connect(RUNHV_CONTROL_PORT, 0);
    if (control_ < 0) {
      failure.set(control_, "connect to the host");
      die(failure);
    }
    const runhv_hello hello = {RUNHV_PROTO_MAGIC, RUNHV_PROTO_VERSION, 0};
    send(RUNHV_MSG_HELLO, &hello, sizeof hello);
    // The handler's mask: children are told through a descriptor, not by interrupting us.
    const std::uint64_t child_signal = std::uint64_t{1} << (SIGCHLD - 1);
    sys::sigprocmask(SIG_BLOCK, &child_signal);
    // The first process is on its way before anything is made that only the rest of the life needs.
    while (!is_known(0)) {
      receive(0);
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

  void send_id(std::uint16_t type, std::uint32_t process, std::string_view text = {}) {
    const runhv_process_id id = {process, 0};
    send(type, &id, sizeof id, text);
  }

  // Reads once. Nothing may be there, with MSG_DONTWAIT.
  void receive(int flags) {
    const std::span<std::byte> room = frames_.room();
    const long result = sys::recv(control_, room.data(), room.size(), flags);
    if (result == -EAGAIN || result == -EINTR) return;
    // The host has gone: nobody is left to run for.
    if (result <= 0) power_off();
    frames_.received(static_cast<std::size_t>(result));
  }

  void handle_frames() {
    Frame frame;
    for (;;) {
      const FrameReader::Next next = frames_.next(frame);
      if (next == FrameReader::Next::kMore) return;
      if (next == FrameReader::Next::kBroken) power_off();
      handle(frame);
    }
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
        Process* process = find(size.process);
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
    const ContainerRequest& request = first_.request;
    container_ok_ = parse({container_memory_, records.size()}, first_.request, container_error_);
    if (!container_ok_) return;
    first_.namespaces = request.namespaces;
    set_users(first_);
    if (has_users(first_) && request.uid_map.empty()) {
      container_ok_ = false;
      container_error_.add("the first container's user namespace has no maps");
      return;
    }
    set_clock_and_entropy(request);
    // In the network that the container sees.
    if (request.has_resolver && !has_users(first_)) open_resolver(request.resolver);
  }

  static bool has_users(const Container& container) {
    return ((container.namespaces | container.joined_namespaces) & CLONE_NEWUSER) != 0;
  }

  // The records go before the container does.
  static void set_users(Container& container) {
    container.users.uids.set(container.request.uid_map);
    container.users.gids.set(container.request.gid_map);
  }

  // Without it a container runs all the same, but finds fewer names.
  void open_resolver(const runhv_resolver& resolver) {
    void* const memory = resolver_ == nullptr ? sys::map(sizeof(Resolver)) : nullptr;
    if (memory == nullptr || sys::map_failed(memory)) return;
    resolver_ = new (memory) Resolver;
    Failure failure;
    if (!resolver_->open(resolver, failure)) warn(failure);
    if (epoll_ >= 0) resolver_->watch(epoll_, kResolverToken);
  }

  // Does `act` in the network namespace of process `pid`.
  template <typename Act>
  void do_there(int pid, Failure& failure, Act act) {
    const int there = sys::pidfd_open(pid);
    // A pidfd of the agent's own would lead to where it is by then.
    const long proc = mount_proc();
    const int here = proc < 0 ? static_cast<int>(proc) : sys::open("/proc/self/ns/net", O_RDONLY);
    if (here < 0) {
      failure.set(here, "open the agent's network namespace");
    } else if (const long result = there < 0 ? there : sys::setns(there, CLONE_NEWNET);
               result < 0) {
      failure.set(result, "enter the container's network namespace");
    } else {
      act();
      const long back = sys::setns(here, CLONE_NEWNET);
      if (back < 0) failure.set(back, "leave the container's network namespace");
    }
    if (there >= 0) sys::close(there);
    if (here >= 0) sys::close(here);
  }

  void open_resolver_there(int pid, const runhv_resolver& resolver) {
    Failure failure;
    do_there(pid, failure, [&] { open_resolver(resolver); });
    if (failure.failed) warn(failure);
  }

  // Of a container whose user namespace owns its network.
  void change_network_there(int pid, std::span<const std::byte> records, Failure& failure) {
    int socket = -1;
    do_there(pid, failure, [&] { socket = sys::socket(AF_NETLINK, SOCK_RAW); });
    if (!failure.failed && socket < 0) failure.set(socket, "open a socket of rtnetlink");
    if (!failure.failed) configure_network_of(pid, socket, records, failure);
    if (socket >= 0) sys::close(socket);
  }

  // The container runs, whatever becomes of its network.
  void change_network(std::span<const std::byte> records) {
    NetworkRequest request;
    Text<512> error;
    Failure failure;
    if (!parse(records, request, error)) {
      failure.set(-EINVAL, error.view());
    } else if (has_users(first_)) {
      change_network_there(first_.pid, records, failure);
    } else {
      configure_network(records, failure);
    }
    if (failure.failed) return warn(failure);
    if (!request.has_resolver) return;
    has_users(first_) ? open_resolver_there(first_.pid, request.resolver)
                      : open_resolver(request.resolver);
  }

  void warn(const Failure& failure) {
    send_id(RUNHV_MSG_WARNING, 0,
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
    Container* container = find_container(number);
    if (!parse(records, request, error)) {
      failure.set(-EINVAL, error.view());
    } else if (container == nullptr) {
      failure.set(-ESRCH, "the container has ended");
    } else if (!container->in_cgroup) {
      failure.set(-ENOENT, "the container has no cgroup");
    } else if (set_cgroup_files(number, request.records, failure) &&
               request.device_rule_count != 0) {
      change_device_filter(*container, request.records, failure);
    }
    const runhv_resources_set set = {failure.guest_errno, 0};
    send_text(RUNHV_MSG_RESOURCES_SET, set, failure);
  }

  static void change_device_filter(Container& container, std::span<const std::byte> records,
                                   Failure& failure) {
    const int program = load_device_filter(records, failure);
    if (program < 0) return;
    const int cgroup = open_cgroup(container.number);
    const bool done = cgroup < 0
                          ? failure.set(cgroup, "open the container's cgroup")
                          : attach_device_filter(cgroup, program, container.device_filter, failure);
    if (cgroup >= 0) sys::close(cgroup);
    const int unused = done ? container.device_filter : program;
    if (done) container.device_filter = program;
    if (unused >= 0) sys::close(unused);
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

  Container* find_container(std::uint32_t number) {
    if (number == 0) return &first_;
    for (Container* container : others_) {
      if (container != nullptr && container->number == number) return container;
    }
    return nullptr;
  }

  // Null where there is no room.
  Container* new_container(std::uint32_t number) {
    for (Container*& place : others_) {
      if (place != nullptr) continue;
      void* memory = sys::map(sizeof(Container));
      if (sys::map_failed(memory)) return nullptr;
      place = new (memory) Container;
      place->number = number;
      return place;
    }
    return nullptr;
  }

  void forget_container(std::uint32_t number) {
    for (Container*& place : others_) {
      if (place == nullptr || place->number != number) continue;
      if (place->device_filter >= 0) sys::close(place->device_filter);
      if (place->in_cgroup) remove_cgroup(number);
      if (place->pidfd >= 0) sys::close(place->pidfd);
      sys::unmap(place, sizeof(Container));
      place = nullptr;
    }
  }

  void forget_records() {
    if (container_memory_ != nullptr) sys::unmap(container_memory_, container_bytes_);
    container_memory_ = nullptr;
    made_ = true;
  }

  // ---- processes ----
  Process* find(std::uint32_t id) {
    for (Process* process : processes()) {
      if (process->state != Process::State::kFree && process->id == id) return process;
    }
    return nullptr;
  }
  bool is_known(std::uint32_t id) { return find(id) != nullptr; }

  std::span<Process*> processes() { return {processes_, process_count_}; }

  // Null where there is no room.
  Process* new_process(std::uint32_t id) {
    Process* process = nullptr;
    for (Process* each : processes()) {
      if (each->state == Process::State::kFree) process = each;
    }
    if (process == nullptr) {
      if (process_count_ == RUNHV_MAX_PROCESSES) return nullptr;
      void* memory = sys::map(sizeof(Process));
      if (sys::map_failed(memory)) return nullptr;
      process = new (memory) Process;
      process->index = static_cast<std::uint32_t>(process_count_);
      processes_[process_count_++] = process;
    }
    process->id = id;
    process->execute = process->archives = process->reaped = false;
    process->signals = 0;
    process->pid = -1;
    return process;
  }

  void start_process(const runhv_prepare& head, std::span<const std::byte> records) {
    const std::uint32_t id = head.process;
    const bool first = id == 0;
    const bool is_new = head.container_bytes != 0;
    if (is_known(id) || (first ? made_ : first_.pid <= 0) || (is_new && first) ||
        (id == head.container) != (first || is_new) || head.container_bytes > records.size()) {
      power_off();
    }
    Failure failure;
    // The host may not know yet what has ended, and what still has bytes on their way.
    Container* container = nullptr;
    if (!over_) container = is_new ? new_container(id) : find_container(head.container);
    Process* room = container == nullptr ? nullptr : new_process(id);
    if (room == nullptr) {
      if (container != nullptr) {
        failure.set(-EAGAIN, "the guest has 128 processes");
      } else if (is_new && !over_) {
        failure.set(-EAGAIN, "the guest has 64 containers");
      } else {
        failure.set(-ESRCH, "the container has ended");
      }
      if (is_new) forget_container(id);
      return send_failure(id, failure);
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
    if (is_new && !join_first(*container, failure)) return fail(process, failure);
    const ProcessRequest& request = process.launch->process;
    process.archives = request.is_archive();
    if (process.is_first() && container->request.has_cgroup) {
      container->in_cgroup = true;
      if (!make_cgroup(id, container->request, failure)) return fail(process, failure);
      if (container->request.device_rule_count != 0) {
        container->device_filter = load_device_filter(container->request.records, failure);
        if (container->device_filter < 0) return fail(process, failure);
      }
    }
    // The child puts its ends onto these numbers, and needs others until then.
    if (request.descriptor_count != 0) {
      occupy(static_cast<int>(Streams::kStandard + request.descriptor_count));
    }
    if (!process.streams.open(request.stdio, request.more_descriptors(), failure) ||
        (!process.is_first() && !join(*container, request, failure))) {
      return fail(process, failure);
    }
    Launch& launch = *process.launch;
    launch.number = container->number;
    launch.container = process.is_first() ? &container->request : nullptr;
    launch.joined = is_new ? first_.pidfd : container->pidfd;
    launch.joined_namespaces =
        process.is_first() ? container->joined_namespaces : container->namespaces_to_join();
    launch.namespaces = container->namespaces;
    if (has_users(*container)) launch.users = &container->users;
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

  static bool open_first_process(Container& container, Failure& failure) {
    if (container.pidfd < 0) container.pidfd = sys::pidfd_open(container.pid);
    return container.pidfd >= 0 ||
           failure.set(container.pidfd, "open the container's first process");
  }

  // Open for good, for they end with the machine: the kernel takes mounts, interfaces and queues
  // apart for longer than many a program runs. What outlives the machine is with the host by then:
  // the guest writes no shared file later, and a mapping of one when it goes. A kernel before 6.11
  // does not know of this.
  static void keep_namespaces(Container& container) {
    Failure failure;
    if (!open_first_process(container, failure)) return;
    for (const unsigned long which :
         {kPidfdGetIpcNamespace, kPidfdGetMountNamespace, kPidfdGetNetworkNamespace}) {
      sys::ioctl(container.pidfd, which, nullptr);
    }
  }

  // A process cannot change its own pid namespace, but that of its children. Null: the agent's.
  bool choose_pid_namespace(const Container* container, Failure& failure) {
    const std::uint32_t wanted = container == nullptr ? kAgent : container->number;
    if (children_in_ == wanted) return true;
    const int process = container == nullptr ? sys::pidfd_open(1) : container->pidfd;
    const long result = process < 0 ? process : sys::setns(process, CLONE_NEWPID);
    if (container == nullptr && process >= 0) sys::close(process);
    if (result < 0) return failure.set(result, "join the container's pid namespace");
    children_in_ = wanted;
    return true;
  }

  // What a container beside the first one needs of the agent.
  bool join_first(Container& container, Failure& failure) {
    constexpr std::uint32_t kShared = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
    container.namespaces = container.request.namespaces;
    set_users(container);
    container.joined_namespaces = first_.namespaces & kShared & ~container.namespaces;
    if ((container.namespaces & CLONE_NEWUSER) != 0 && container.request.uid_map.empty()) {
      if (!has_users(first_)) {
        return failure.set(-EINVAL, "join the first container's user namespace: it has none");
      }
      container.users = first_.users;
      container.namespaces &= ~std::uint32_t{CLONE_NEWUSER};
      container.joined_namespaces |= CLONE_NEWUSER;
    }
    if ((container.namespaces & CLONE_NEWNS) == 0 || (container.namespaces & CLONE_NEWPID) == 0) {
      return failure.set(-EINVAL, "expected namespaces of its own for mounts and pids");
    }
    return open_first_process(first_, failure) && choose_pid_namespace(nullptr, failure);
  }

  // What every process but the first of a container needs of the agent.
  bool join(Container& container, const ProcessRequest& request, Failure& failure) {
    // Nobody in the container may trace an archiver, which has more rights than it.
    const bool has_pids = (container.namespaces & CLONE_NEWPID) != 0 && !request.is_archive();
    if (!open_first_process(container, failure) ||
        !choose_pid_namespace(has_pids ? &container : nullptr, failure)) {
      return false;
    }
    if (!request.has_oom_score_adj && !container.request.has_time_offsets) return true;
    const long result = mount_proc();
    return result == 0 || failure.set(result, "mount proc on /proc of the agent");
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
    if (process.is_first()) find_container(process.id)->pid = process.pid;
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
    if (process.id == 0 && has_users(first_) && first_.request.has_resolver) {
      open_resolver_there(process.pid, first_.request.resolver);
    }
    if (process.execute) return release(process);
    send_id(RUNHV_MSG_PREPARED, process.id);
  }

  void on_execute(std::uint32_t id) {
    Process* process = find(id);
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
    if (process.is_first()) find_container(process.id)->pid = process.pid;
    if (process.id == 0) keep_namespaces(first_);
    process.state = Process::State::kRunning;
    process.streams.close_container_ends();
    send_id(RUNHV_MSG_STARTED, process.id);
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
      send_id(RUNHV_MSG_WARNING, process.id,
              Text<64>("capability ").add_number(number).add(" cannot be made ambient").view());
    }
  }

  void end_launch(Process& process) {
    if (process.launch != nullptr) free_launch(process.launch);
    process.launch = nullptr;
    if (process.id == 0) forget_records();
  }

  void fail(Process& process, const Failure& failure) {
    send_failure(process.id, failure);
    if (process.report >= 0) sys::close(process.report);
    process.report = -1;
    process.streams.close();
    end_launch(process);
    if (process.is_first() && process.id != 0) {
      // Its cgroup is not empty before.
      if (process.pid > 0 && !process.reaped) sys::wait4(process.pid, nullptr, 0);
      forget_container(process.id);
    }
    // The first one's number stays taken: the host powers off.
    process.state = process.id == 0 ? Process::State::kOver : Process::State::kFree;
  }

  void send_failure(std::uint32_t process, const Failure& failure) {
    const runhv_failed failed = {process, failure.guest_errno, failure.exit_status, 0};
    send_text(RUNHV_MSG_FAILED, failed, failure);
  }

  template <typename Head>
  void send_text(std::uint16_t type, const Head& head, const Failure& failure) {
    // A path of an image may hold any byte, the protocol's text must be UTF-8.
    Text<512> text;
    text.add_printable(failure.text.view());
    send(type, &head, sizeof head, text.view());
  }

  void on_signal(const runhv_signal& signal) {
    Process* process = find(signal.process);
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
      for (Process* each : processes()) {
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
    for (Process* each : processes()) {
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
      forget_container(process.id);
    }
    process.streams.move_outputs();
    std::uint32_t kills = 0;
    if (status != 0) {
      kills = mount_proc() == 0 ? count_oom_kills() : 0;
      if (kills > oom_kills_) {
        oom_kills_ = kills;
        const runhv_out_of_memory memory = {kills, 0};
        send(RUNHV_MSG_OUT_OF_MEMORY, &memory, sizeof memory);
      }
    }
    // Said before the outputs are drained: a host that cannot take them must know that nothing else
    // is to come.
    const runhv_exited exited = {
        process.id, WIFSIGNALED(status) ? 1u : 0u,
        static_cast<std::uint32_t>(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)),
        kills};
    send(RUNHV_MSG_EXITED, &exited, sizeof exited);
    process.streams.end_input();
    release_finished(process);
  }

  void end_all() {
    over_ = true;
    // With a pid namespace the kernel has killed the rest of the container. What else there is is
    // ours, and its ends of the pipes close with it.
    bool left = (first_.namespaces & CLONE_NEWPID) == 0;
    for (const Container* container : others_) left = left || container != nullptr;
    for (const Process* process : processes()) left = left || process->is_archiver_of(0);
    if (left) {
      sys::kill(-1, SIGKILL);
      while (sys::wait4(-1, nullptr, 0) > 0) {
      }
    }
    for (Process* each : processes()) {
      Process& process = *each;
      if (process.id != 0 && process.is_alive()) process.state = Process::State::kOver;
    }
  }

  void release_finished(Process& process) {
    if (process.state != Process::State::kOver || process.id == 0 || !process.streams.finished()) {
      return;
    }
    process.streams.close();
    if (process.launch != nullptr) end_launch(process);
    process.state = Process::State::kFree;
  }

  // The agent's own /proc, on an initramfs that holds nothing else of this name.
  long mount_proc() {
    if (has_proc_) return 0;
    const long result = sys::mount("proc", "/proc", "proc", 0, nullptr);
    has_proc_ = result == 0;
    return result;
  }

  // ---- the rest of the life ----
  void watch_all() {
    epoll_ = sys::epoll_create();
    const std::uint64_t child_signal = std::uint64_t{1} << (SIGCHLD - 1);
    children_ = sys::signalfd(-1, &child_signal, O_NONBLOCK | O_CLOEXEC);
    epoll_event event = {};
    event.events = EPOLLIN | EPOLLRDHUP;
    event.data.u32 = kControlToken;
    sys::epoll_ctl(epoll_, EPOLL_CTL_ADD, control_, &event);
    event.data.u32 = kChildrenToken;
    sys::epoll_ctl(epoll_, EPOLL_CTL_ADD, children_, &event);
    for (Process* each : processes()) {
      Process& process = *each;
      if (process.report >= 0) watch_report(process);
      if (process.state == Process::State::kRunning) {
        process.streams.watch(epoll_, process.index * kTokens);
      }
    }
    if (resolver_ != nullptr) resolver_->watch(epoll_, kResolverToken);
  }

  bool busy() {
    for (const Process* process : processes()) {
      if (process->streams.busy()) return true;
    }
    return resolver_ != nullptr && resolver_->busy();
  }

  [[noreturn]] void serve() {
    for (;;) {
      epoll_event events[8];
      const long count = sys::call(__NR_epoll_wait, epoll_, events, 8, busy() ? 0 : -1);
      for (long i = 0; i < count; ++i) on_event(events[i].data.u32, events[i].events);
      for (Process* each : processes()) {
        Process& process = *each;
        for (unsigned lane = 0; lane < process.streams.lane_count(); ++lane) {
          if (process.streams.busy(lane)) process.streams.move(lane);
        }
        release_finished(process);
      }
      if (resolver_ != nullptr) resolver_->go_on();
    }
  }

  void on_event(std::uint32_t token, std::uint32_t events) {
    if (token == kControlToken) {
      receive(MSG_DONTWAIT);
      return handle_frames();
    }
    if (token == kChildrenToken) {
      char information[128];  // struct signalfd_siginfo: wait4 tells all there is
      sys::read(children_, information, sizeof information);
      return reap();
    }
    if (token >= kResolverToken) return resolver_->on_event(token - kResolverToken);
    Process& process = *processes_[token / kTokens];
    if (token % kTokens != kReportToken) {
      process.streams.move(token % kTokens);
      if ((events & EPOLLRDHUP) != 0) process.streams.look_at_host(token % kTokens);
    } else if (process.report >= 0) {
      on_report(process);
    }
  }

  int control_ = -1;
  int epoll_ = -1;
  int children_ = -1;
  FrameReader frames_;
  Process* processes_[RUNHV_MAX_PROCESSES] = {};
  std::size_t process_count_ = 0;  // of them, from the front; they are used again

  std::byte* container_memory_ = nullptr;
  std::size_t container_bytes_ = 0;
  bool container_ok_ = false;
  bool made_ = false;  // the first container, or it failed
  Text<512> container_error_;
  Container first_;
  Container* others_[RUNHV_MAX_CONTAINERS - 1] = {};
  std::uint32_t children_in_ = kAgent;  // the container whose pid namespace children are put into
  bool over_ = false;                   // the first process has ended
  bool has_proc_ = false;
  std::uint32_t oom_kills_ = 0;
  Resolver* resolver_ = nullptr;  // where the container has one
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
