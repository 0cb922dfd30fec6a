#include "launch.h"

#include <net/if.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include <new>

#include "cgroup.h"
#include "device_filter.h"
#include "files.h"
#include "hooks.h"
#include "mounts.h"
#include "network.h"
#include "paths.h"
#include "root.h"
#include "sys.h"
#include "terminal.h"

namespace runhv::agent {
namespace {

constexpr std::size_t kStackBytes = 1u << 20;        // copy_up recurses
constexpr std::size_t kMakerStackBytes = 64u << 10;  // of who makes a user namespace
constexpr char kSystemFiles[] = "/sys";

bool set_names(const ContainerRequest& container, Failure& failure) {
  if (container.hostname != nullptr) {
    const long result = sys::sethostname(container.hostname, strlen(container.hostname));
    if (result < 0) return failure.set(result, "set the host name");
  }
  if (container.domainname != nullptr) {
    const long result = sys::setdomainname(container.domainname, strlen(container.domainname));
    if (result < 0) return failure.set(result, "set the domain name");
  }
  return true;
}

bool bring_up_loopback(Failure& failure) {
  const int socket = sys::socket(AF_INET, SOCK_DGRAM);
  if (socket < 0) return failure.set(socket, "open a socket for the loopback interface");
  ifreq request = {};
  memcpy(request.ifr_name, "lo", sizeof "lo");
  request.ifr_flags = IFF_UP;
  const long result = sys::ioctl(socket, SIOCSIFFLAGS, &request);
  sys::close(socket);
  return result == 0 || failure.set(result, "bring up the loopback interface");
}

// A container's own is made where it is missing: not that of one more process.
bool enter_working_directory(const ProcessRequest& process, bool make, Failure& failure) {
  long result = sys::chdir(process.cwd);
  if (result == -ENOENT && make) {
    result = make_directories(process.cwd);
    if (result == 0) result = sys::chdir(process.cwd);
  }
  return result == 0 || failure.set(result, "enter the working directory ", process.cwd);
}

bool attach(Launch& launch) {
  const ProcessRequest& process = launch.process;
  if (process.wants_terminal()) {
    launch.terminal = open_terminal(process, launch.container != nullptr, launch.failure);
    return launch.terminal >= 0;
  }
  for (int stream = 0; stream < 3; ++stream) {
    const int end = launch.streams->container_end(static_cast<unsigned>(stream));
    if (end < 0) {
      const int null = sys::open("/dev/null", stream == 0 ? O_RDONLY : O_WRONLY);
      if (null < 0) return launch.failure.set(null, "open /dev/null");
      const long result = sys::dup3(null, stream, 0);
      sys::close(null);
      if (result < 0) return launch.failure.set(result, "attach a standard stream");
      continue;
    }
    const long result = sys::dup3(end, stream, 0);
    if (result < 0) return launch.failure.set(result, "attach a standard stream");
  }
  return true;
}

// The process's descriptors from 3 on. Last of all: what they replace of the agent's is of no more
// use to the child.
bool attach_more(Launch& launch) {
  const ProcessRequest& process = launch.process;
  for (unsigned i = 0; i < process.descriptor_count; ++i) {
    const unsigned number = Streams::kStandard + i;
    const int end = launch.streams->container_end(number);
    const long result = sys::dup3(end, static_cast<int>(number), 0);
    if (result < 0) return launch.failure.set(result, "attach a descriptor");
  }
  return true;
}

// A /proc of the agent's own, that the container never sees.
bool open_proc(int& proc, Failure& failure) {
  const long result = sys::mount("proc", "/proc", "proc", 0, nullptr);
  // The agent may have mounted the same before.
  if (result < 0 && result != -EBUSY) {
    return failure.set(result, "mount proc on /proc of the agent");
  }
  proc = sys::open("/proc", O_PATH | O_DIRECTORY);
  return proc >= 0 || failure.set(proc, "open /proc of the agent");
}

bool enter_time_namespace(Launch& launch, int proc) {
  return (launch.namespaces & CLONE_NEWTIME) == 0 ||
         make_time_namespace(launch.time_offsets, launch.has_time_offsets, proc, launch.failure);
}

bool join_namespaces(Launch& launch) {
  if (launch.joined_namespaces == 0) return true;
  const long result = sys::setns(launch.joined, static_cast<int>(launch.joined_namespaces));
  return result == 0 || launch.failure.set(result, "join the container's namespaces");
}

// Of a container beside the first one that has interfaces of the machine in a namespace of its own.
bool moves_network(const Launch& launch) {
  return launch.container != nullptr && launch.container->netlink_count != 0 &&
         (launch.namespaces & CLONE_NEWNET) != 0;
}

// The process's user opens /dev/stdout as a file: it must be that user's.
bool give_streams(Launch& launch) {
  const ProcessRequest& process = launch.process;
  const Users* users = launch.users;
  const std::uint32_t uid =
      users == nullptr ? process.user.uid : users->uids.outside(process.user.uid);
  const std::uint32_t gid =
      users == nullptr ? process.user.gid : users->gids.outside(process.user.gid);
  for (unsigned i = 0; i < Streams::kStandard + process.descriptor_count; ++i) {
    const int end = launch.streams->container_end(i);
    const long result = end < 0 ? 0 : sys::call(__NR_fchown, end, uid, gid);
    if (result < 0) return launch.failure.set(result, "give a stream to the process's user");
  }
  return true;
}

// What the process could not do for itself as root of a user namespace, and has by inheritance.
bool inherit(Launch& launch, int proc) {
  return set_oom_score(launch.process, proc, launch.failure) &&
         enter_time_namespace(launch, proc) && set_scheduling(launch.process, launch.failure) &&
         raise_limits(launch.process, launch.failure);
}

// Inside of its root. `nodes`: its devices, where it cannot make them; `proc`: where it is needed.
bool fill_container(Launch& launch, int shares, int nodes, int proc) {
  const ContainerRequest& container = *launch.container;
  Failure& failure = launch.failure;
  if (!make_files(container, failure) || !make_mounts(container, shares, failure) ||
      !make_devices(container, nodes, failure) || !set_names(container, failure) ||
      !bring_up_loopback(failure) ||
      (container.netlink_count != 0 && !configure_network(container.records, failure)) ||
      !attach(launch) || (proc >= 0 && !set_kernel_parameters(container, proc, failure))) {
    return false;
  }
  // The working directory and the terminal are made before what they lie on may become read-only.
  return enter_working_directory(launch.process, true, failure) &&
         finish_mounts(container, failure) && finish_root(container, failure) &&
         hide_paths(container, failure);
}

bool make_container(Launch& launch) {
  const ContainerRequest& container = *launch.container;
  Failure& failure = launch.failure;
  if (!give_streams(launch) || !join_namespaces(launch)) return false;
  if (launch.in_cgroup &&
      !enter_cgroup(launch.number, (launch.namespaces & CLONE_NEWCGROUP) != 0, failure)) {
    return false;
  }
  if (moves_network(launch) && !move_network(container.records, failure)) return false;
  // While its folder can be seen. The rules come last: what is made until then is ours.
  const int cgroup = launch.device_filter < 0 ? -1 : open_cgroup(launch.number);
  int proc = -1;
  if ((container.sysctl_count != 0 || launch.process.has_oom_score_adj ||
       container.has_time_offsets) &&
      !open_proc(proc, failure)) {
    return false;
  }
  int shares = -1;
  return enter_time_namespace(launch, proc) && mount_shares(container, failure) &&
         open_shares(container, shares, failure) && mount_root(container, failure) &&
         put_root_on_top(failure) && enter_root(failure) &&
         fill_container(launch, shares, -1, proc) && set_oom_score(launch.process, proc, failure) &&
         (launch.device_filter < 0 ||
          attach_device_filter(cgroup, launch.device_filter, -1, failure));
}

// The same in a user namespace, once that has its maps: with what make_users has left.
bool make_container_of_users(Launch& launch) {
  const ContainerRequest& container = *launch.container;
  Failure& failure = launch.failure;
  while (__atomic_load_n(&launch.has_users, __ATOMIC_ACQUIRE) == 0) {
    sys::futex_wait(&launch.has_users, 0);
  }
  if (!become_root(failure)) return false;
  const long result = sys::unshare(CLONE_NEWNS | (launch.in_cgroup ? CLONE_NEWCGROUP : 0));
  if (result < 0) return failure.set(result, "make the container's mount namespace");
  int shares = -1;
  int nodes = -1;
  return open_shares(container, shares, failure) && open_nodes(nodes, failure) &&
         enter_root(failure) && fill_container(launch, shares, nodes, launch.proc);
}

bool join_container(Launch& launch) {
  Failure& failure = launch.failure;
  int proc = -1;
  if (launch.process.has_oom_score_adj || launch.has_time_offsets) {
    // Mounted by the agent before.
    proc = sys::open("/proc", O_PATH | O_DIRECTORY);
    if (proc < 0) return failure.set(proc, "open /proc of the agent");
  }
  if (launch.process.is_archive()) {
    launch.archiver = sys::open("/init", O_PATH);
    if (launch.archiver < 0) return failure.set(launch.archiver, "open the agent's own program");
  }
  // The kernel lets nobody who shares its memory join one: this has the same clocks.
  if (launch.users != nullptr
          ? !inherit(launch, proc) || !set_scheduler(launch.process, 0, failure)
          : !set_oom_score(launch.process, proc, failure) || !enter_time_namespace(launch, proc)) {
    return false;
  }
  if (launch.in_cgroup && !enter_cgroup(launch.number, false, failure)) return false;
  if (!give_streams(launch) || !join_namespaces(launch)) return false;
  if (launch.users != nullptr && !become_root(failure)) return false;
  return enter_root(failure) && attach(launch) &&
         enter_working_directory(launch.process, false, failure);
}

bool make_or_join(Launch& launch) {
  if (launch.container == nullptr) return join_container(launch);
  return launch.users == nullptr ? make_container(launch) : make_container_of_users(launch);
}

bool set_up(Launch& launch) {
  Failure& failure = launch.failure;
  const std::uint64_t no_signals = 0;
  sys::sigprocmask(SIG_SETMASK, &no_signals);
  sys::umask(0);
  sys::setsid();
  if (!make_or_join(launch)) return false;
  if (launch.process.wants_terminal() && !take_terminal(failure)) return false;
  if (!set_limits(launch.process, failure)) return false;
  if (launch.users == nullptr &&
      (!set_scheduling(launch.process, failure) || !set_scheduler(launch.process, 0, failure))) {
    return false;
  }
  add_home(launch.process, launch.vectors);
  if (!attach_more(launch)) return false;
  const long result = sys::iopl(0);
  return result == 0 || failure.set(result, "give up the ports");
}

bool stop_until_go(Launch& launch) {
  if (launch.archiver < 0 && !find_program(launch.process, launch.vectors, launch.failure)) {
    return false;
  }
  const char prepared = 'p';
  sys::write(launch.report, &prepared, 1);
  while (__atomic_load_n(&launch.go, __ATOMIC_ACQUIRE) == 0) sys::futex_wait(&launch.go, 0);
  return true;
}

[[noreturn]] void child_main(Launch* launch) {
  const ProcessRequest& process = launch->process;
  if (set_up(*launch) && (!launch->stops || stop_until_go(*launch)) &&
      become_user(process, launch->refused_capabilities, launch->failure) &&
      (launch->container == nullptr || run_hooks(*launch->container, launch->failure))) {
    sys::umask((process.flags & RUNHV_PROCESS_UMASK) != 0 ? process.user.umask : 022);
    launch->at_exec = true;
    run_program(launch->vectors, launch->archiver, launch->failure);
  }
  sys::exit(255);
}

// clone3(2) with a stack of its own for the child, which must not return into the caller's frames.
long clone_child(const clone_args& arguments, void (*entry)(Launch*), Launch* launch) {
  long result;
  register void (*child)(Launch*) asm("r12") = entry;
  register Launch* argument asm("r13") = launch;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r13, %%rdi\n\t"
      "call *%%r12\n\t"
      "hlt\n"
      "1:"
      : "=a"(result)
      : "a"(__NR_clone3), "D"(&arguments), "S"(sizeof arguments), "r"(child), "r"(argument)
      : "rcx", "r11", "memory");
  return result;
}

long clone_child_of(Launch& launch, std::uint64_t flags, int cgroup) {
  clone_args arguments = {};
  arguments.flags = CLONE_VM | flags;
  // With CLONE_PARENT it is the caller's.
  arguments.exit_signal = (flags & CLONE_PARENT) != 0 ? 0 : SIGCHLD;
  // The records lie behind the stack.
  arguments.stack = reinterpret_cast<std::uintptr_t>(&launch) - kStackBytes;
  arguments.stack_size = kStackBytes;
  if (cgroup >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<std::uint64_t>(cgroup);
  }
  return clone_child(arguments, child_main, &launch);
}

// What mounts, devices and rules need more for than the root of a user namespace has; then the
// child, in that namespace.
bool make_users(Launch& launch) {
  const ContainerRequest& container = *launch.container;
  Failure& failure = launch.failure;
  sys::mkdir(kSystemFiles, 0700);  // another container may have made it
  // The kernel lets a user namespace mount what can be seen as a whole: this and /proc.
  long result = sys::mount("sysfs", kSystemFiles, "sysfs", 0, nullptr);
  if (result < 0) return failure.set(result, "mount sysfs on /sys of the agent");
  if (!open_proc(launch.proc, failure) || !mount_shares(container, failure) ||
      !mount_root(container, failure) || !make_nodes(container, *launch.users, failure) ||
      !give_streams(launch)) {
    return false;
  }
  const int cgroup = launch.in_cgroup ? open_cgroup(launch.number) : -1;
  if (launch.in_cgroup && cgroup < 0) return failure.set(cgroup, "open the container's cgroup");
  if (launch.device_filter >= 0 &&
      !attach_device_filter(cgroup, launch.device_filter, -1, failure)) {
    return false;
  }
  if (!inherit(launch, launch.proc)) return false;
  // Another's, which it gets by way of its parent.
  const bool joins = (launch.joined_namespaces & CLONE_NEWUSER) != 0;
  if (joins && (!put_root_on_top(failure) || !join_namespaces(launch))) return false;
  // Mounts are its own once they are all there.
  std::uint64_t namespaces = launch.namespaces & ~std::uint64_t{CLONE_NEWTIME | CLONE_NEWNS};
  // Its root is to be the container's cgroup.
  if (launch.in_cgroup) namespaces &= ~std::uint64_t{CLONE_NEWCGROUP};
  const long child = clone_child_of(launch, CLONE_PARENT | namespaces, cgroup);
  if (child < 0) return failure.set(child, "make the container's namespaces");
  launch.child = static_cast<int>(child);
  if (joins) return true;
  // Only now: nobody makes a user namespace whose "/" is not its mount namespace's.
  return put_root_on_top(failure) &&
         write_maps(*launch.users, launch.child, launch.proc, failure) &&
         give_network(container.records, launch.child, failure);
}

[[noreturn]] void maker_main(Launch* launch) { sys::exit(make_users(*launch) ? 0 : 1); }

// In a mount namespace that goes with the maker. The agent waits for it.
int start_child_of_users(Launch& launch) {
  void* const stack = sys::map(kMakerStackBytes);
  if (sys::map_failed(stack)) {
    launch.failure.set(-ENOMEM, "make room for a stack");
    return -1;
  }
  clone_args arguments = {};
  arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_NEWNS;
  arguments.exit_signal = SIGCHLD;
  arguments.stack = reinterpret_cast<std::uintptr_t>(stack);
  arguments.stack_size = kMakerStackBytes;
  const long maker = clone_child(arguments, maker_main, &launch);
  int status = 0;
  if (maker > 0) sys::wait4(static_cast<int>(maker), &status, 0);
  sys::unmap(stack, kMakerStackBytes);
  if (maker < 0) launch.failure.set(maker, "make the container's mounts");
  if (maker > 0 && status == 0) {
    __atomic_store_n(&launch.has_users, 1u, __ATOMIC_RELEASE);
    sys::futex_wake(&launch.has_users);
    return launch.child;
  }
  if (launch.child > 0) {
    // It runs in memory, and in a cgroup, that go with the launch.
    sys::kill(launch.child, SIGKILL);
    sys::wait4(launch.child, nullptr, 0);
  }
  return -1;
}

int start_child(Launch& launch, std::uint64_t flags) {
  if (!make_vectors(launch.process, launch.vectors, launch.failure)) return -1;
  if (launch.container != nullptr && launch.users != nullptr) return start_child_of_users(launch);
  std::uint64_t namespaces = launch.container != nullptr ? launch.namespaces : 0;
  // Its root is the cgroup of whoever makes it: not the agent's.
  if (launch.in_cgroup) namespaces &= ~std::uint64_t{CLONE_NEWCGROUP};
  // The same: the agent's has its interfaces.
  if (moves_network(launch)) namespaces &= ~std::uint64_t{CLONE_NEWNET};
  // Nobody's clocks may differ yet.
  namespaces &= ~std::uint64_t{CLONE_NEWTIME};
  const long pid = clone_child_of(launch, flags | namespaces, -1);
  if (pid < 0) {
    launch.failure.set(
        pid, launch.container != nullptr ? "make the container's namespaces" : "make a process");
  }
  return static_cast<int>(pid);
}

}  // namespace

Launch* make_launch(std::span<const std::byte> records, std::span<const std::byte>& copy) {
  const std::size_t size = kStackBytes + sizeof(Launch) + records.size();
  void* memory = sys::map(size);
  if (sys::map_failed(memory)) return nullptr;
  auto* at = static_cast<std::byte*>(memory) + kStackBytes;
  auto* launch = new (at) Launch;
  launch->memory_bytes = size;
  memcpy(at + sizeof(Launch), records.data(), records.size());
  copy = {at + sizeof(Launch), records.size()};
  return launch;
}

void free_launch(Launch* launch) {
  if (launch->vectors.arguments != nullptr) {
    sys::unmap(launch->vectors.arguments, launch->vectors.size_bytes);
  }
  sys::unmap(reinterpret_cast<std::byte*>(launch) - kStackBytes, launch->memory_bytes);
}

int execute_at_once(Launch& launch) {
  const int pid = start_child(launch, CLONE_VFORK);
  return pid >= 0 && executed(launch) ? pid : -1;
}

int prepare(Launch& launch, int& report) {
  int ends[2];
  const long result = sys::pipe2(ends, O_CLOEXEC);
  if (result < 0) {
    launch.failure.set(result, "make a pipe");
    return -1;
  }
  launch.report = ends[1];
  const int pid = start_child(launch, 0);
  sys::close(ends[1]);
  report = ends[0];
  if (pid < 0) sys::close(ends[0]);
  return pid;
}

void execute(Launch& launch) {
  __atomic_store_n(&launch.go, 1u, __ATOMIC_RELEASE);
  sys::futex_wake(&launch.go);
}

bool executed(Launch& launch) {
  if (!launch.failure.failed && !launch.at_exec) {
    // Killed on the way, by a seccomp filter that forbids what was left to do.
    launch.failure.set(0, "the process was killed before its program ran");
  }
  return !launch.failure.failed;
}

}  // namespace runhv::agent
