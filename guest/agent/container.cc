#include "container.h"

#include <net/if.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "mounts.h"
#include "paths.h"
#include "process.h"
#include "root.h"
#include "sys.h"

namespace runhv::agent {
namespace {

constexpr std::size_t kStackSize = 1u << 20;  // copy_up recurses

// What the child works on. It runs in the agent's memory while the agent waits (CLONE_VFORK), so
// that nothing is copied and a failure needs no pipe.
struct Setup {
  const StartRequest* start;
  const Streams* streams;
  Vectors vectors;
  Failure* failure;
  bool at_exec = false;  // everything but the program has been done
};

bool set_names(const StartRequest& start, Failure& failure) {
  if (start.hostname != nullptr) {
    const long result = sys::sethostname(start.hostname, strlen(start.hostname));
    if (result < 0) return failure.set(result, "set the host name");
  }
  if (start.domainname != nullptr) {
    const long result = sys::setdomainname(start.domainname, strlen(start.domainname));
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

bool enter_working_directory(const StartRequest& start, Failure& failure) {
  long result = sys::chdir(start.cwd);
  if (result == -ENOENT) {
    result = make_directories(start.cwd);
    if (result == 0) result = sys::chdir(start.cwd);
  }
  return result == 0 || failure.set(result, "enter the working directory ", start.cwd);
}

bool attach_streams(const StartRequest& start, const Streams& streams, Failure& failure) {
  for (int stream = 0; stream < 3; ++stream) {
    const int end = streams.container_end(static_cast<unsigned>(stream));
    if (end < 0) {
      const int null = sys::open("/dev/null", stream == 0 ? O_RDONLY : O_WRONLY);
      if (null < 0) return failure.set(null, "open /dev/null");
      const long result = sys::dup3(null, stream, 0);
      sys::close(null);
      if (result < 0) return failure.set(result, "attach a standard stream");
      continue;
    }
    // The container's user opens /dev/stdout as a file: it must be that user's.
    long result = sys::call(__NR_fchown, end, start.user.uid, start.user.gid);
    if (result == 0) result = sys::dup3(end, stream, 0);
    if (result < 0) return failure.set(result, "attach a standard stream");
  }
  return true;
}

bool set_up(Setup& setup) {
  const StartRequest& start = *setup.start;
  Failure& failure = *setup.failure;
  const std::uint64_t no_signals = 0;
  sys::sigprocmask(SIG_SETMASK, &no_signals);
  sys::umask(0);
  sys::setsid();

  int proc = -1;
  if (start.sysctl_count != 0 || start.has_oom_score_adj) {
    const long result = sys::mount("proc", "/proc", "proc", 0, nullptr);
    if (result < 0) return failure.set(result, "mount proc on /proc of the agent");
    proc = sys::open("/proc", O_PATH | O_DIRECTORY);
  }
  if (!enter_root(start, failure) || !make_mounts(start, failure) ||
      !make_devices(start, failure) || !finish_mounts(start, failure) ||
      !set_names(start, failure) || !bring_up_loopback(failure) ||
      !attach_streams(start, *setup.streams, failure)) {
    return false;
  }
  if (proc >= 0 && !set_kernel_parameters(start, proc, failure)) return false;
  // The working directory is made before the root may become read-only.
  if (!enter_working_directory(start, failure) || !finish_root(start, failure) ||
      !hide_paths(start, failure) || !set_limits(start, failure)) {
    return false;
  }
  const long result = sys::iopl(0);
  if (result < 0) return failure.set(result, "give up the ports");
  if (!become_user(start, failure)) return false;
  sys::umask((start.flags & RUNHV_START_UMASK) != 0 ? start.user.umask : 022);
  setup.at_exec = true;
  run_program(setup.vectors, failure);
  return false;
}

[[noreturn]] void child_main(Setup* setup) {
  set_up(*setup);
  sys::exit(255);
}

// clone3(2) with a stack of its own for the child, which must not return into the caller's frames.
long clone_child(const clone_args& arguments, void (*entry)(Setup*), Setup* setup) {
  long result;
  register void (*child)(Setup*) asm("r12") = entry;
  register Setup* argument asm("r13") = setup;
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

}  // namespace

int start_container(const StartRequest& start, Streams& streams, Failure& failure) {
  Setup setup = {&start, &streams, {}, &failure};
  if (!make_vectors(start, setup.vectors, failure)) return -1;
  void* stack = sys::map(kStackSize);
  if (sys::map_failed(stack)) {
    failure.set(-ENOMEM, "make a stack");
    return -1;
  }
  clone_args arguments = {};
  arguments.flags = CLONE_VM | CLONE_VFORK | start.namespaces;
  arguments.exit_signal = SIGCHLD;
  arguments.stack = reinterpret_cast<std::uintptr_t>(stack);
  arguments.stack_size = kStackSize;
  const long pid = clone_child(arguments, child_main, &setup);
  if (pid < 0) {
    failure.set(pid, "make the container's namespaces");
    return -1;
  }
  if (failure.failed) return -1;
  if (!setup.at_exec) {
    // Killed on the way, by a seccomp filter that forbids what was left to do.
    failure.set(0, "the first process was killed before its program ran");
    return -1;
  }
  return static_cast<int>(pid);
}

}  // namespace runhv::agent
