#include "platform/confinement.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/scope_exit.h"
#include "platform/handle.h"
#include "platform/linux/system_call_filter.h"
#include "platform/os_error.h"

namespace runhv::platform {
namespace {

constexpr const char* kConfine = "confine this process";
constexpr const char* kNoFilters =
    "system calls: this kernel, or what runs us, has no seccomp filters";
constexpr const char* kNoFileRules = "files: this kernel has no Landlock of version 2 or newer";

// --- files ---------------------------------------------------------------------------------------

// Newer than the headers that we are built with.
constexpr std::uint64_t kTruncate = 1u << 14;
constexpr std::uint64_t kIoctlOfDevice = 1u << 15;

constexpr std::uint64_t kOfFiles = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                   LANDLOCK_ACCESS_FS_READ_FILE | kTruncate | kIoctlOfDevice;
constexpr std::uint64_t kReads = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kFolderNames = LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR;
constexpr std::uint64_t kWrites =
    kFolderNames | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM |
    LANDLOCK_ACCESS_FS_REFER | kTruncate;

// The first version with REFER: before it, no file can be renamed into another folder.
constexpr int kFirstWithRefer = 2;

int landlock_version() {
  const long version =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version < kFirstWithRefer ? 0 : static_cast<int>(version);
}

std::uint64_t handled_by(int version) {
  std::uint64_t handled = LANDLOCK_ACCESS_FS_EXECUTE | kReads | (kWrites & ~kTruncate);
  if (version >= 3) handled |= kTruncate;
  if (version >= 5) handled |= kIoctlOfDevice;
  return handled;
}

std::uint64_t rights(KeptPath::Access access) {
  switch (access) {
    case KeptPath::Access::kFolderNames:
      return kFolderNames;
    case KeptPath::Access::kRead:
      return kReads;
    case KeptPath::Access::kReadWrite:
      break;
  }
  return kReads | kWrites;
}

// Not open where this kernel has no Landlock. `held`: what a rule is about stays the same as long
// as it is open; the folders of /proc are made anew else.
Result<UniqueHandle> file_rules(const std::vector<KeptPath>& paths,
                                std::vector<UniqueHandle>& held) {
  const int version = landlock_version();
  if (version == 0) return UniqueHandle();
  const landlock_ruleset_attr attributes{.handled_access_fs = handled_by(version)};
  UniqueHandle rules(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0));
  if (!rules.is_open()) return Fail{last_os_error(kConfine)};
  for (const KeptPath& kept : paths) {
    const std::string operation = std::string(kConfine) + ": keep " + kept.path;
    UniqueHandle file(::open(kept.path.c_str(), O_PATH | O_CLOEXEC));
    struct stat info {};
    if (!file.is_open() || ::fstat(static_cast<int>(file.get()), &info) != 0) {
      return Fail{last_os_error(operation)};
    }
    landlock_path_beneath_attr rule{};
    rule.allowed_access = rights(kept.access) & attributes.handled_access_fs;
    if (!S_ISDIR(info.st_mode)) rule.allowed_access &= kOfFiles;
    rule.parent_fd = static_cast<int>(file.get());
    if (::syscall(SYS_landlock_add_rule, static_cast<int>(rules.get()), LANDLOCK_RULE_PATH_BENEATH,
                  &rule, 0) != 0) {
      return Fail{last_os_error(operation)};
    }
    held.push_back(std::move(file));
  }
  return rules;
}

// --- capabilities --------------------------------------------------------------------------------

std::uint64_t bit(int capability) { return std::uint64_t{1} << capability; }

// Of capabilities(7): what a file system server does in the name of others (file_node.h).
std::uint64_t kept_capabilities(const Duties& duties) {
  std::uint64_t kept = 0;
  if (duties.shares != Duties::Shares::kNone) kept |= bit(CAP_DAC_READ_SEARCH);
  if (duties.shares == Duties::Shares::kWritable) {
    kept |= bit(CAP_CHOWN) | bit(CAP_DAC_OVERRIDE) | bit(CAP_FOWNER) | bit(CAP_FSETID) |
            bit(CAP_SETUID) | bit(CAP_SETGID) | bit(CAP_MKNOD) | bit(CAP_SETFCAP);
  }
  if (duties.keeps_network) kept |= bit(CAP_NET_ADMIN);
  if (duties.enters_network) kept |= bit(CAP_SYS_ADMIN);  // setns(2)
  return kept;
}

bool keep_capabilities(std::uint64_t kept) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capget, &header, sets) != 0) return false;
  for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; ++i) {
    const auto word = static_cast<std::uint32_t>(kept >> 32 * i);
    sets[i].permitted &= word;
    sets[i].effective &= word;
    sets[i].inheritable = 0;
  }
  return ::syscall(SYS_capset, &header, sets) == 0;
}

// --- system calls --------------------------------------------------------------------------------

constexpr std::uint32_t kWhole = UINT32_MAX;
constexpr std::uint32_t kKvm = 0xae;     // the type of its ioctls (KVMIO)
constexpr int kNameMemory = 0x53564d41;  // PR_SET_VMA: malloc of glibc 2.38 and newer

// Of a thread, as every C library begins one. All else that clone(2) can do is not ours.
constexpr std::uint32_t kThread = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
constexpr std::uint32_t kNoThread = CLONE_VFORK | CLONE_PTRACE | CLONE_PARENT | CLONE_NEWNS |
                                    CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                    CLONE_NEWPID | CLONE_NEWNET;

// What acts on the process itself and on what it has open, and what a C library does by itself
// (glibc 2.36 to 2.41).
void allow_what_all_need(SystemCallFilter& filter) {
  filter.allow({SYS_futex,     SYS_read,          SYS_write,    SYS_epoll_wait, SYS_epoll_pwait,
                SYS_epoll_ctl, SYS_clock_gettime, SYS_readv,    SYS_writev,     SYS_pread64,
                SYS_pwrite64,  SYS_preadv,        SYS_pwritev,  SYS_preadv2,    SYS_pwritev2,
                SYS_recvmsg,   SYS_sendmsg,       SYS_recvfrom, SYS_sendto,     SYS_poll,
                SYS_ppoll,     SYS_madvise,       SYS_munmap});
  filter.allow({SYS_close, SYS_fcntl, SYS_fstat, SYS_newfstatat, SYS_stat, SYS_lstat, SYS_statx,
                SYS_lseek, SYS_flock, SYS_fsync, SYS_fdatasync, SYS_ftruncate, SYS_dup, SYS_dup2,
                SYS_dup3, SYS_pipe2, SYS_getdents64});
  filter.allow({SYS_epoll_create1, SYS_eventfd2, SYS_signalfd4, SYS_timerfd_create,
                SYS_timerfd_settime, SYS_socketpair, SYS_accept, SYS_accept4, SYS_shutdown,
                SYS_getsockopt, SYS_setsockopt, SYS_getsockname, SYS_getpeername});
  // Where these lead is for the file rules and the user's own rights.
  filter.allow({SYS_open, SYS_openat, SYS_access, SYS_faccessat, SYS_faccessat2, SYS_readlink,
                SYS_readlinkat, SYS_mkdir, SYS_rename, SYS_renameat, SYS_unlink, SYS_unlinkat,
                SYS_rmdir});
  filter.allow({SYS_brk,
                SYS_mremap,
                SYS_mincore,
                SYS_set_robust_list,
                SYS_set_tid_address,
                SYS_rseq,
                SYS_membarrier,
                SYS_sched_yield,
                SYS_sched_getaffinity,
                SYS_getcpu,
                SYS_gettid,
                SYS_getpid,
                SYS_getppid,
                SYS_getuid,
                SYS_geteuid,
                SYS_getgid,
                SYS_getegid,
                SYS_rt_sigprocmask,
                SYS_rt_sigreturn,
                SYS_rt_sigpending,
                SYS_sigaltstack,
                SYS_restart_syscall,
                SYS_clock_getres,
                SYS_clock_nanosleep,
                SYS_nanosleep,
                SYS_gettimeofday,
                SYS_time,
                SYS_times,
                SYS_getrusage,
                SYS_getrandom,
                SYS_uname,
                SYS_sysinfo,
                SYS_capget,
                SYS_capset,
                SYS_exit,
                SYS_exit_group});
  // Nobody else may catch what this filter raises; report_and_end() ends by it.
  filter.kill_where(SYS_rt_sigaction, 0, SIGSYS);
  filter.allow_where(SYS_rt_sigaction, 0, {{0, 0}});
  // No new code.
  filter.allow_where(SYS_mmap, 2, {{PROT_EXEC, 0}});
  filter.allow_where(SYS_mprotect, 2, {{PROT_EXEC, 0}});
  // Its flags are in memory, where a filter cannot look: a C library does without it.
  filter.refuse(SYS_clone3, ENOSYS);
  filter.allow_where(SYS_clone, 0, {{kThread | kNoThread, kThread}});
  filter.allow_where(SYS_tgkill, 0, {{kWhole, static_cast<std::uint32_t>(::getpid())}});
  filter.allow_where(SYS_prlimit64, 0, {{kWhole, 0}});
  filter.allow_where(SYS_prctl, 0, {{kWhole, PR_SET_NAME}, {kWhole, kNameMemory}});
  // Not TIOCSTI, which types into the user's shell.
  filter.allow_where(SYS_ioctl, 1,
                     {{0xff00, kKvm << 8},
                      {kWhole, TCGETS},
                      {kWhole, TCSETS},
                      {kWhole, TCSETSW},
                      {kWhole, TCSETSF},
                      {kWhole, TIOCGWINSZ},
                      {kWhole, FIONREAD}});
}

void allow_for_shares(SystemCallFilter& filter, Duties::Shares shares) {
  if (shares == Duties::Shares::kNone) return;
  filter.allow(
      {SYS_openat2, SYS_statfs, SYS_fstatfs, SYS_getxattr, SYS_listxattr, SYS_copy_file_range});
  if (shares == Duties::Shares::kReadOnly) return;
  filter.allow({SYS_mkdirat, SYS_mknodat, SYS_symlinkat, SYS_linkat, SYS_renameat2, SYS_fallocate,
                SYS_syncfs, SYS_chmod, SYS_fchmodat, SYS_fchownat, SYS_utimensat, SYS_setxattr,
                SYS_removexattr, SYS_setfsuid, SYS_setfsgid, SYS_umask});
  filter.allow_where(SYS_unshare, 0, {{kWhole, CLONE_FS}});
}

void allow_for_network(SystemCallFilter& filter, const Duties& duties) {
  if (!duties.keeps_network) return;
  // Not AF_UNIX: other daemons listen there.
  filter.allow_where(SYS_socket, 0, {{kWhole, AF_NETLINK}, {kWhole, AF_INET}});
  filter.refuse(SYS_socket, EAFNOSUPPORT);
  filter.allow({SYS_bind, SYS_connect});
  filter.allow_where(SYS_ioctl, 1,
                     {{kWhole, TUNSETIFF},
                      {kWhole, TUNSETVNETHDRSZ},
                      {kWhole, TUNGETIFF},
                      {kWhole, TUNGETVNETHDRSZ},
                      {kWhole, TUNSETOFFLOAD},
                      {kWhole, SIOCGIFINDEX}});
  if (duties.enters_network) filter.allow_where(SYS_setns, 1, {{kWhole, CLONE_NEWNET}});
}

std::vector<sock_filter> filter_for(const Duties& duties) {
  SystemCallFilter filter;
  allow_what_all_need(filter);
  allow_for_shares(filter, duties.shares);
  allow_for_network(filter, duties);
  return filter.finish();
}

// Async-signal-safe: what has raised it may have been anywhere.
void report_and_end(int, siginfo_t* info, void*) {
  char digits[12];
  char* begin = std::end(digits);
  unsigned number = static_cast<unsigned>(info->si_syscall);
  do {
    *--begin = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  const auto say = [](const char* text, std::size_t size) {
    [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, text, size);
  };
  constexpr std::string_view kBefore = "runhv-vmm: confinement: system call ";
  constexpr std::string_view kBehind =
      " is none that it needs, and it ends here; docs/security-model.md says more\n";
  say(kBefore.data(), kBefore.size());
  say(begin, static_cast<std::size_t>(std::end(digits) - begin));
  say(kBehind.data(), kBehind.size());
  ::syscall(SYS_rt_sigaction, SIGSYS, nullptr, nullptr, _NSIG / 8);  // kill_where()
  ::_exit(128 + SIGSYS);
}

bool knows_filters() {
  const std::uint32_t action = SECCOMP_RET_TRAP;
  return ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

// --- threads -------------------------------------------------------------------------------------

// Linux has no call that changes the capabilities and file rules of other threads: each is asked
// to, by a signal that nothing else uses.
struct Round {
  const Confinement* confinement = nullptr;
  std::atomic<int> failure = 0;
  sem_t done{};
};
Round* current_round = nullptr;

void take_part(int) {
  const int before = errno;
  if (const int failed = current_round->confinement->confine_this_thread(); failed != 0) {
    current_round->failure = failed;
  }
  ::sem_post(&current_round->done);
  errno = before;
}

// Until it has taken part, or has gone: one that is joined may be listed a moment longer.
void wait_for(pid_t thread, Round& round) {
  constexpr std::uint64_t kLookNs = 10'000'000;
  while (true) {
    timespec until{};
    ::clock_gettime(CLOCK_REALTIME, &until);
    const std::uint64_t ns = static_cast<std::uint64_t>(until.tv_nsec) + kLookNs;
    until.tv_sec += static_cast<time_t>(ns / 1'000'000'000);
    until.tv_nsec = static_cast<long>(ns % 1'000'000'000);
    if (::sem_timedwait(&round.done, &until) == 0) return;
    if (::syscall(SYS_tgkill, ::getpid(), thread, 0) != 0) {
      ::sem_trywait(&round.done);  // where it ended after it had taken part
      return;
    }
  }
}

Result<std::set<pid_t>> threads_of_this_process() {
  DIR* directory = ::opendir("/proc/self/task");
  if (directory == nullptr) return Fail{last_os_error(kConfine)};
  const ScopeExit close([&] { ::closedir(directory); });
  std::set<pid_t> threads;
  while (const dirent* entry = ::readdir(directory)) {
    const int thread = std::atoi(entry->d_name);
    if (thread > 0) threads.insert(thread);
  }
  return threads;
}

}  // namespace

struct Confinement::Parts {
  bool filters = false;
  std::vector<sock_filter> filter;
  std::uint64_t capabilities = 0;
  UniqueHandle file_rules;
  std::vector<UniqueHandle> held;
  std::string missing;
};

Confinement::Confinement(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Confinement::Confinement(Confinement&&) noexcept = default;
Confinement& Confinement::operator=(Confinement&&) noexcept = default;
Confinement::~Confinement() = default;

const std::string& Confinement::missing() const { return parts_->missing; }

Result<Confinement> Confinement::prepare(const Duties& duties) {
  auto parts = std::make_unique<Parts>();
  parts->filters = knows_filters();
  if (!parts->filters) parts->missing = kNoFilters;
  parts->filter = filter_for(duties);
  parts->capabilities = kept_capabilities(duties);
  if (duties.files) {
    RUNHV_TRY_ASSIGN(parts->file_rules, file_rules(*duties.files, parts->held));
    if (!parts->file_rules.is_open()) {
      parts->missing += (parts->missing.empty() ? "" : "; ") + std::string(kNoFileRules);
    }
  }
  return Confinement(std::move(parts));
}

int Confinement::confine_this_thread() const {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  if (!keep_capabilities(parts_->capabilities)) return errno;
  if (parts_->file_rules.is_open() &&
      ::syscall(SYS_landlock_restrict_self, static_cast<int>(parts_->file_rules.get()), 0) != 0) {
    return errno;
  }
  if (!parts_->filters) return 0;
  const sock_fprog program{static_cast<unsigned short>(parts_->filter.size()),
                           parts_->filter.data()};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? 0 : errno;
}

Result<void> Confinement::confine_other_threads() const {
  struct sigaction report {};
  report.sa_sigaction = report_and_end;
  report.sa_flags = SA_SIGINFO;
  if (::sigaction(SIGSYS, &report, nullptr) != 0) return Fail{last_os_error(kConfine)};

  Round round;
  round.confinement = this;
  ::sem_init(&round.done, 0, 0);
  current_round = &round;
  const int signal = SIGRTMAX;
  struct sigaction ask {};
  struct sigaction before {};
  ask.sa_handler = take_part;
  ask.sa_flags = SA_RESTART;
  ::sigaction(signal, &ask, &before);
  const ScopeExit end([&] {
    ::sigaction(signal, &before, nullptr);
    current_round = nullptr;
    ::sem_destroy(&round.done);
  });

  const pid_t process = ::getpid();
  const auto self = static_cast<pid_t>(::syscall(SYS_gettid));
  RUNHV_CHECK(self != process);
  RUNHV_TRY_ASSIGN(const std::set<pid_t> threads, threads_of_this_process());
  for (const pid_t thread : threads) {
    if (thread == process || thread == self) continue;
    if (::syscall(SYS_tgkill, process, thread, signal) == 0) wait_for(thread, round);
  }
  if (const int failed = round.failure; failed != 0) return Fail{os_error(kConfine, failed)};
  if (const int failed = confine_this_thread(); failed != 0) {
    return Fail{os_error(kConfine, failed)};
  }
  return {};
}

ConfinementSupport confinement_support() {
  ConfinementSupport support{.has = "capabilities", .lacks = ""};
  if (knows_filters()) {
    support.has += ", system calls (seccomp)";
  } else {
    support.lacks = kNoFilters;
  }
  if (const int version = landlock_version(); version != 0) {
    support.has += ", files (Landlock " + std::to_string(version) + ")";
  } else {
    support.lacks += (support.lacks.empty() ? "" : "; ") + std::string(kNoFileRules);
  }
  return support;
}

}  // namespace runhv::platform
