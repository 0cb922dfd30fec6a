#include "container/linux_abi.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <span>
#include <string>

namespace runhv::container::linux_abi {
namespace {

struct NamedOption {
  std::string_view name;
  MountOption option;
};

// mount(8), "filesystem-independent mount options", as the runtime specification lists them.
constexpr NamedOption kMountOptions[] = {
    {"async", {0, kMsSynchronous, 0}},
    {"atime", {0, kMsNoatime, 0}},
    {"defaults", {0, 0, 0}},
    {"dev", {0, kMsNodev, 0}},
    {"diratime", {0, kMsNodiratime, 0}},
    {"dirsync", {kMsDirsync, 0, 0}},
    {"exec", {0, kMsNoexec, 0}},
    {"iversion", {kMsIversion, 0, 0}},
    {"lazytime", {kMsLazytime, 0, 0}},
    {"loud", {0, kMsSilent, 0}},
    {"mand", {kMsMandlock, 0, 0}},
    {"noatime", {kMsNoatime, 0, 0}},
    {"nodev", {kMsNodev, 0, 0}},
    {"nodiratime", {kMsNodiratime, 0, 0}},
    {"noexec", {kMsNoexec, 0, 0}},
    {"noiversion", {0, kMsIversion, 0}},
    {"nolazytime", {0, kMsLazytime, 0}},
    {"nomand", {0, kMsMandlock, 0}},
    {"norelatime", {0, kMsRelatime, 0}},
    {"nostrictatime", {0, kMsStrictatime, 0}},
    {"nosuid", {kMsNosuid, 0, 0}},
    {"nosymfollow", {kMsNosymfollow, 0, 0}},
    {"private", {0, 0, kMsPrivate}},
    {"relatime", {kMsRelatime, 0, 0}},
    {"remount", {kMsRemount, 0, 0}},
    {"ro", {kMsRdonly, 0, 0}},
    {"rprivate", {0, 0, kMsPrivate | kMsRec}},
    {"rshared", {0, 0, kMsShared | kMsRec}},
    {"rslave", {0, 0, kMsSlave | kMsRec}},
    {"runbindable", {0, 0, kMsUnbindable | kMsRec}},
    {"rw", {0, kMsRdonly, 0}},
    {"shared", {0, 0, kMsShared}},
    {"silent", {kMsSilent, 0, 0}},
    {"slave", {0, 0, kMsSlave}},
    {"strictatime", {kMsStrictatime, 0, 0}},
    {"suid", {0, kMsNosuid, 0}},
    {"symfollow", {0, kMsNosymfollow, 0}},
    {"sync", {kMsSynchronous, 0, 0}},
    {"unbindable", {0, 0, kMsUnbindable}},
};

// capability.h; the position is the bit.
constexpr std::string_view kCapabilities[] = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};

// asm-generic/resource.h; the position is the number.
constexpr std::string_view kRlimits[] = {
    "RLIMIT_CPU",      "RLIMIT_FSIZE", "RLIMIT_DATA",   "RLIMIT_STACK",
    "RLIMIT_CORE",     "RLIMIT_RSS",   "RLIMIT_NPROC",  "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",  "RLIMIT_AS",    "RLIMIT_LOCKS",  "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE", "RLIMIT_NICE",  "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
};

// signal(7), x86-64; the position is the number less one. 32 and 33 are the C library's.
constexpr std::string_view kSignals[] = {
    "HUP",  "INT",  "QUIT", "ILL",    "TRAP",   "ABRT",  "BUS",  "FPE",  "KILL", "USR1", "SEGV",
    "USR2", "PIPE", "ALRM", "TERM",   "STKFLT", "CHLD",  "CONT", "STOP", "TSTP", "TTIN", "TTOU",
    "URG",  "XCPU", "XFSZ", "VTALRM", "PROF",   "WINCH", "IO",   "PWR",  "SYS",
};
constexpr int kSigrtmin = 34;

struct Syscall {
  std::string_view name;
  std::uint32_t number;
};

// Linux 6.12, arch/x86/entry/syscalls/syscall_64.tbl, abi common and 64, by name.
constexpr Syscall kSyscalls[] = {
#include "container/syscalls_x86_64.inc"
};
static_assert(std::ranges::is_sorted(kSyscalls, {}, &Syscall::name));

// syscall_32.tbl of the same.
constexpr Syscall kSyscalls32[] = {
#include "container/syscalls_i386.inc"
};
static_assert(std::ranges::is_sorted(kSyscalls32, {}, &Syscall::name));

std::optional<std::uint32_t> position(std::span<const std::string_view> names,
                                      std::string_view name) {
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) return std::nullopt;
  return static_cast<std::uint32_t>(found - names.begin());
}

}  // namespace

std::optional<MountOption> find_mount_option(std::string_view name) {
  const auto* found = std::ranges::find(kMountOptions, name, &NamedOption::name);
  if (found == std::end(kMountOptions)) return std::nullopt;
  return found->option;
}

std::optional<std::uint32_t> find_capability(std::string_view name) {
  return position(kCapabilities, name);
}

std::string_view capability_name(std::uint32_t bit) {
  return bit < std::size(kCapabilities) ? kCapabilities[bit] : std::string_view();
}

std::optional<int> find_signal(std::string_view name) {
  const auto number = [](std::string_view digits) -> std::optional<int> {
    int value = 0;
    const auto [end, failure] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (failure != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return value;
  };
  const auto in_range = [](int value, int least) -> std::optional<int> {
    if (value < least || value > kMaxSignal) return std::nullopt;
    return value;
  };
  if (const auto value = number(name)) return in_range(*value, 1);
  std::string upper(name);
  std::ranges::transform(upper, upper.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  std::string_view text = upper;
  if (text.starts_with("SIG")) text.remove_prefix(3);
  if (const auto place = position(kSignals, text)) return static_cast<int>(*place) + 1;
  if (text == "RTMIN") return kSigrtmin;
  if (text == "RTMAX") return kMaxSignal;
  const auto offset = text.size() > 6 ? number(text.substr(6)) : std::nullopt;
  if (offset && *offset >= 0 && *offset <= kMaxSignal) {
    if (text.starts_with("RTMIN+")) return in_range(kSigrtmin + *offset, kSigrtmin);
    if (text.starts_with("RTMAX-")) return in_range(kMaxSignal - *offset, kSigrtmin);
  }
  return std::nullopt;
}

std::optional<std::uint32_t> find_rlimit(std::string_view name) { return position(kRlimits, name); }

std::optional<std::uint32_t> find_syscall(Architecture architecture, std::string_view name) {
  const std::span<const Syscall> calls =
      architecture == Architecture::kI386 ? std::span<const Syscall>(kSyscalls32) : kSyscalls;
  const auto found = std::ranges::lower_bound(calls, name, {}, &Syscall::name);
  if (found == calls.end() || found->name != name) return std::nullopt;
  return found->number;
}

}  // namespace runhv::container::linux_abi
