// Numbers of the guest's Linux kernel (x86-64), whatever the host is: never taken from the host's
// own headers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace runhv::container::linux_abi {

// mount(2)
inline constexpr std::uint64_t kMsRdonly = 1ull << 0;
inline constexpr std::uint64_t kMsNosuid = 1ull << 1;
inline constexpr std::uint64_t kMsNodev = 1ull << 2;
inline constexpr std::uint64_t kMsNoexec = 1ull << 3;
inline constexpr std::uint64_t kMsSynchronous = 1ull << 4;
inline constexpr std::uint64_t kMsRemount = 1ull << 5;
inline constexpr std::uint64_t kMsMandlock = 1ull << 6;
inline constexpr std::uint64_t kMsDirsync = 1ull << 7;
inline constexpr std::uint64_t kMsNosymfollow = 1ull << 8;
inline constexpr std::uint64_t kMsNoatime = 1ull << 10;
inline constexpr std::uint64_t kMsNodiratime = 1ull << 11;
inline constexpr std::uint64_t kMsRec = 1ull << 14;
inline constexpr std::uint64_t kMsSilent = 1ull << 15;
inline constexpr std::uint64_t kMsUnbindable = 1ull << 17;
inline constexpr std::uint64_t kMsPrivate = 1ull << 18;
inline constexpr std::uint64_t kMsSlave = 1ull << 19;
inline constexpr std::uint64_t kMsShared = 1ull << 20;
inline constexpr std::uint64_t kMsRelatime = 1ull << 21;
inline constexpr std::uint64_t kMsIversion = 1ull << 23;
inline constexpr std::uint64_t kMsStrictatime = 1ull << 24;
inline constexpr std::uint64_t kMsLazytime = 1ull << 25;

// clone(2)
inline constexpr std::uint32_t kCloneNewtime = 0x00000080;
inline constexpr std::uint32_t kCloneNewns = 0x00020000;
inline constexpr std::uint32_t kCloneNewcgroup = 0x02000000;
inline constexpr std::uint32_t kCloneNewuts = 0x04000000;
inline constexpr std::uint32_t kCloneNewipc = 0x08000000;
inline constexpr std::uint32_t kCloneNewuser = 0x10000000;
inline constexpr std::uint32_t kCloneNewpid = 0x20000000;
inline constexpr std::uint32_t kCloneNewnet = 0x40000000;

// inode(7)
inline constexpr std::uint32_t kSIfifo = 0x1000;
inline constexpr std::uint32_t kSIfchr = 0x2000;
inline constexpr std::uint32_t kSIfdir = 0x4000;
inline constexpr std::uint32_t kSIfblk = 0x6000;
inline constexpr std::uint32_t kSIfreg = 0x8000;
inline constexpr std::uint32_t kSIflnk = 0xa000;

inline constexpr std::size_t kMaxHostNameBytes = 64;  // uname(2): __NEW_UTS_LEN
inline constexpr int kSigkill = 9;
inline constexpr int kSigint = 2;
inline constexpr int kSigterm = 15;
inline constexpr int kMaxSignal = 64;

// What one option of a mount does to the flags; set and clear may both be zero ("defaults").
struct MountOption {
  std::uint64_t set;
  std::uint64_t clear;
  std::uint64_t propagation;
};
// Nullopt: no flag of mount(2), so data for the file system.
std::optional<MountOption> find_mount_option(std::string_view name);

std::optional<std::uint32_t> find_capability(std::string_view name);  // "CAP_CHOWN" -> 0
std::string_view capability_name(std::uint32_t bit);                  // empty where there is none
// "TERM", "SIGTERM", "sigterm", "15", "RTMIN+3" -> 1..64
std::optional<int> find_signal(std::string_view name);
std::optional<std::uint32_t> find_rlimit(std::string_view name);  // "RLIMIT_NOFILE" -> 7

// How a program in the guest calls the kernel, by its AUDIT_ARCH_ (linux/audit.h). A program of 32
// bits has numbers of its own.
enum class Architecture : std::uint32_t { kX86_64 = 0xc000003e, kI386 = 0x40000003 };
// "read" -> 0 and 3.
std::optional<std::uint32_t> find_syscall(Architecture architecture, std::string_view name);

}  // namespace runhv::container::linux_abi
