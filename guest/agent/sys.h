// System calls of Linux on x86-64, without a C library.
//
// Each returns what the kernel returns: a negative errno, or the value. Only what the agent calls.
#pragma once

#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace runhv::agent::sys {

template <typename T>
inline long word(T value) {
  if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<long>(value);
  } else {
    return static_cast<long>(value);
  }
}
inline long word(std::nullptr_t) { return 0; }

// System V ABI, AMD64 supplement, appendix A.2.1.
inline long raw_call(long number, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

template <typename A = long, typename B = long, typename C = long, typename D = long,
          typename E = long, typename F = long>
inline long call(long number, A a = 0, B b = 0, C c = 0, D d = 0, E e = 0, F f = 0) {
  return raw_call(number, word(a), word(b), word(c), word(d), word(e), word(f));
}

inline int open(const char* path, int flags, unsigned mode = 0) {
  return static_cast<int>(call(__NR_openat, AT_FDCWD, path, flags | O_CLOEXEC, mode));
}
inline int openat(int dir, const char* path, int flags, unsigned mode = 0) {
  return static_cast<int>(call(__NR_openat, dir, path, flags | O_CLOEXEC, mode));
}
inline long close(int fd) { return call(__NR_close, fd); }
inline long read(int fd, void* out, std::size_t size) { return call(__NR_read, fd, out, size); }
inline long write(int fd, const void* in, std::size_t size) {
  return call(__NR_write, fd, in, size);
}
inline long mkdirat(int dir, const char* path, unsigned mode) {
  return call(__NR_mkdirat, dir, path, mode);
}
inline long mkdir(const char* path, unsigned mode) { return mkdirat(AT_FDCWD, path, mode); }
inline long mknodat(int dir, const char* path, unsigned mode, std::uint64_t device) {
  return call(__NR_mknodat, dir, path, mode, device);
}
inline long unlinkat(int dir, const char* path, int flags) {
  return call(__NR_unlinkat, dir, path, flags);
}
inline long symlinkat(const char* target, int dir, const char* path) {
  return call(__NR_symlinkat, target, dir, path);
}
inline long readlinkat(int dir, const char* path, char* out, std::size_t size) {
  return call(__NR_readlinkat, dir, path, out, size);
}
inline long fstatat(int dir, const char* path, struct stat* out, int flags) {
  return call(__NR_newfstatat, dir, path, out, flags);
}
inline long fchownat(int dir, const char* path, std::uint32_t uid, std::uint32_t gid, int flags) {
  return call(__NR_fchownat, dir, path, uid, gid, flags);
}
inline long fchmodat(int dir, const char* path, unsigned mode) {
  return call(__NR_fchmodat, dir, path, mode);
}
inline long chdir(const char* path) { return call(__NR_chdir, path); }
inline long chroot(const char* path) { return call(__NR_chroot, path); }
inline unsigned umask(unsigned mask) { return static_cast<unsigned>(call(__NR_umask, mask)); }
inline long mount(const char* source, const char* target, const char* type, std::uint64_t flags,
                  const void* data) {
  return call(__NR_mount, source, target, type, flags, data);
}
// Lets go of what is open there, too.
inline long umount(const char* target) { return call(__NR_umount2, target, 2 /* MNT_DETACH */); }
inline long dup3(int from, int to, int flags) { return call(__NR_dup3, from, to, flags); }
inline long fcntl(int fd, int command, long argument) {
  return call(__NR_fcntl, fd, command, argument);
}
inline long pipe2(int fds[2], int flags) { return call(__NR_pipe2, fds, flags); }
inline long splice(int from, int to, std::size_t size, unsigned flags) {
  return call(__NR_splice, from, nullptr, to, nullptr, size, flags);
}
template <typename T>
inline long ioctl(int fd, unsigned long request, T argument) {
  return call(__NR_ioctl, fd, request, argument);
}
inline int socket(int domain, int type) {
  return static_cast<int>(call(__NR_socket, domain, type | SOCK_CLOEXEC, 0));
}
inline long connect(int fd, const void* address, std::size_t size) {
  return call(__NR_connect, fd, address, size);
}
inline long send(int fd, const void* in, std::size_t size, int flags) {
  return call(__NR_sendto, fd, in, size, flags | MSG_NOSIGNAL, nullptr, 0);
}
inline long recv(int fd, void* out, std::size_t size, int flags) {
  return call(__NR_recvfrom, fd, out, size, flags, nullptr, nullptr);
}
inline long recvfrom(int fd, void* out, std::size_t size, int flags, void* address,
                     socklen_t address_bytes) {
  return call(__NR_recvfrom, fd, out, size, flags, address, &address_bytes);
}
inline long sendto(int fd, const void* in, std::size_t size, int flags, const void* address,
                   socklen_t address_bytes) {
  return call(__NR_sendto, fd, in, size, flags | MSG_NOSIGNAL, address, address_bytes);
}
inline long bind(int fd, const void* address, socklen_t size) {
  return call(__NR_bind, fd, address, size);
}
inline long listen(int fd, int waiting) { return call(__NR_listen, fd, waiting); }
inline int accept(int fd, int flags) {
  return static_cast<int>(call(__NR_accept4, fd, nullptr, nullptr, flags | SOCK_CLOEXEC));
}
inline long getsockname(int fd, void* address, socklen_t size) {
  return call(__NR_getsockname, fd, address, &size);
}
inline long setsockopt(int fd, int level, int option, const void* value, socklen_t size) {
  return call(__NR_setsockopt, fd, level, option, value, size);
}
inline long shutdown(int fd, int how) { return call(__NR_shutdown, fd, how); }
inline int epoll_create() { return static_cast<int>(call(__NR_epoll_create1, EPOLL_CLOEXEC)); }
inline long epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  return call(__NR_epoll_ctl, epoll, operation, fd, event);
}
inline long epoll_wait(int epoll, epoll_event* events, int count) {
  return call(__NR_epoll_wait, epoll, events, count, -1);
}
inline int signalfd(int fd, const std::uint64_t* mask, int flags) {
  return static_cast<int>(call(__NR_signalfd4, fd, mask, sizeof *mask, flags));
}
inline long sigprocmask(int how, const std::uint64_t* set) {
  return call(__NR_rt_sigprocmask, how, set, nullptr, sizeof *set);
}
inline long kill(int pid, int signal) { return call(__NR_kill, pid, signal); }
inline int pidfd_open(int pid) { return static_cast<int>(call(__NR_pidfd_open, pid, 0)); }
inline int pidfd_getfd(int pidfd, int fd) {
  return static_cast<int>(call(__NR_pidfd_getfd, pidfd, fd, 0));
}
inline long unshare(int namespaces) { return call(__NR_unshare, namespaces); }
inline long setns(int fd, int namespaces) { return call(__NR_setns, fd, namespaces); }
// The word lies in memory that another process shares.
inline long futex_wait(const std::uint32_t* word, std::uint32_t value) {
  return call(__NR_futex, word, 0 /* FUTEX_WAIT */, value, nullptr, nullptr, 0);
}
inline long futex_wake(const std::uint32_t* word) {
  return call(__NR_futex, word, 1 /* FUTEX_WAKE */, 1, nullptr, nullptr, 0);
}
// A process with a copy of the caller's memory.
inline int fork() { return static_cast<int>(call(__NR_clone, 17 /* SIGCHLD */)); }
inline int memfd_create(const char* name) {
  return static_cast<int>(call(__NR_memfd_create, name, 1u /* MFD_CLOEXEC */));
}
inline long lseek(int fd, long offset, int whence) { return call(__NR_lseek, fd, offset, whence); }
template <typename Polled>
inline long ppoll(Polled* polled, std::size_t count, const timespec* timeout) {
  return call(__NR_ppoll, polled, count, timeout, nullptr, 0);
}
inline long wait4(int pid, int* status, int options) {
  return call(__NR_wait4, pid, status, options, nullptr);
}
inline long execve(const char* path, char* const* arguments, char* const* environment) {
  return call(__NR_execve, path, arguments, environment);
}
// A program that is open.
inline long execveat(int program, char* const* arguments, char* const* environment) {
  return call(__NR_execveat, program, "", arguments, environment, AT_EMPTY_PATH);
}
inline int getpid() { return static_cast<int>(call(__NR_getpid)); }
[[noreturn]] inline void exit(int status) {
  call(__NR_exit_group, status);
  // A seccomp filter of the container's may not allow even that.
  for (;;) __builtin_trap();
}
// Anonymous memory; negative errno in the pointer's place is told by map_failed.
inline void* map(std::size_t size) {
  // PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
  return reinterpret_cast<void*>(call(__NR_mmap, nullptr, size, 3, 0x22, -1, 0));
}
inline bool map_failed(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address) >= static_cast<std::uintptr_t>(-4095L);
}
inline long unmap(void* address, std::size_t size) { return call(__NR_munmap, address, size); }
inline long setsid() { return call(__NR_setsid); }
inline long sethostname(const char* name, std::size_t size) {
  return call(__NR_sethostname, name, size);
}
inline long setdomainname(const char* name, std::size_t size) {
  return call(__NR_setdomainname, name, size);
}
inline long setrlimit(unsigned resource, const std::uint64_t limit[2]) {
  return call(__NR_prlimit64, 0, resource, limit, nullptr);
}
inline long getrlimit(unsigned resource, std::uint64_t limit[2]) {
  return call(__NR_prlimit64, 0, resource, nullptr, limit);
}
// struct sched_attr, linux/sched/types.h: 48 bytes or more, its size first.
inline long sched_setattr(int pid, const void* attributes) {
  return call(__NR_sched_setattr, pid, attributes, 0);
}
inline long sched_setaffinity(std::uint64_t processors) {
  return call(__NR_sched_setaffinity, 0, sizeof processors, &processors);
}
inline long ioprio_set(std::uint32_t priority) {
  return call(__NR_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, priority);
}
inline long personality(std::uint32_t persona) { return call(__NR_personality, persona); }
inline long setgroups(std::size_t count, const std::uint32_t* groups) {
  return call(__NR_setgroups, count, groups);
}
inline long setfsuid(std::uint32_t uid) { return call(__NR_setfsuid, uid); }
inline long setfsgid(std::uint32_t gid) { return call(__NR_setfsgid, gid); }
inline long faccessat2(int dir, const char* path, int mode, int flags) {
  return call(__NR_faccessat2, dir, path, mode, flags);
}
inline long setresgid(std::uint32_t gid) { return call(__NR_setresgid, gid, gid, gid); }
inline long setresuid(std::uint32_t uid) { return call(__NR_setresuid, uid, uid, uid); }
inline long prctl(int option, unsigned long a = 0, unsigned long b = 0) {
  return call(__NR_prctl, option, a, b, 0, 0);
}
inline long capset(__user_cap_header_struct* header, const __user_cap_data_struct* data) {
  return call(__NR_capset, header, data);
}
inline long seccomp(unsigned operation, unsigned flags, const void* arguments) {
  return call(__NR_seccomp, operation, flags, arguments);
}
inline long bpf(int command, const void* attributes, std::size_t size) {
  return call(__NR_bpf, command, attributes, size);
}
inline long clock_settime(int clock, const timespec* time) {
  return call(__NR_clock_settime, clock, time);
}
inline long finit_module(int fd, const char* parameters, int flags) {
  return call(__NR_finit_module, fd, parameters, flags);
}
inline long unlink(const char* path) { return unlinkat(AT_FDCWD, path, 0); }
inline long iopl(unsigned level) { return call(__NR_iopl, level); }
inline long mount_setattr(int dir, const char* path, unsigned flags, const void* attributes,
                          std::size_t size) {
  return call(__NR_mount_setattr, dir, path, flags, attributes, size);
}
inline int open_tree(int dir, const char* path, unsigned flags) {
  return static_cast<int>(call(__NR_open_tree, dir, path, flags));
}
// A tree of open_tree onto `path`.
inline long move_mount(int tree, const char* path) {
  // MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS
  return call(__NR_move_mount, tree, "", AT_FDCWD, path, 0x4u | 0x10u);
}
inline long getdents64(int fd, void* out, std::size_t size) {
  return call(__NR_getdents64, fd, out, size);
}
inline long utimensat(int dir, const char* path, const timespec times[2], int flags) {
  return call(__NR_utimensat, dir, path, times, flags);
}

inline void outb(std::uint16_t port, std::uint8_t value) {
  asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

}  // namespace runhv::agent::sys
