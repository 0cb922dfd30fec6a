// Numbers of FUSE, version 7.41 (include/uapi/linux/fuse.h of Linux 6.12), as far as the server
// speaks it, and of Linux's errors.
#pragma once

#include <cstddef>
#include <cstdint>

namespace runhv::devices::fuse {

inline constexpr std::uint32_t kMajor = 7;
inline constexpr std::uint32_t kMinor = 41;
// The oldest that is served: its messages have the sizes that the server writes.
inline constexpr std::uint32_t kLeastMinor = 31;

inline constexpr std::size_t kInHeaderBytes = 40;
inline constexpr std::size_t kOutHeaderBytes = 16;
inline constexpr std::size_t kEntryBytes = 128;  // struct fuse_entry_out
inline constexpr std::uint64_t kRootId = 1;

enum class Opcode : std::uint32_t {
  kLookup = 1,
  kForget = 2,
  kGetattr = 3,
  kSetattr = 4,
  kReadlink = 5,
  kSymlink = 6,
  kMknod = 8,
  kMkdir = 9,
  kUnlink = 10,
  kRmdir = 11,
  kRename = 12,
  kLink = 13,
  kOpen = 14,
  kRead = 15,
  kWrite = 16,
  kStatfs = 17,
  kRelease = 18,
  kFsync = 20,
  kSetxattr = 21,
  kGetxattr = 22,
  kListxattr = 23,
  kRemovexattr = 24,
  kFlush = 25,
  kInit = 26,
  kOpendir = 27,
  kReaddir = 28,
  kReleasedir = 29,
  kFsyncdir = 30,
  kCreate = 35,
  kInterrupt = 36,
  kDestroy = 38,
  kIoctl = 39,
  kBatchForget = 42,
  kFallocate = 43,
  kReaddirplus = 44,
  kRename2 = 45,
  kLseek = 46,
  kCopyFileRange = 47,
  kSetupmapping = 48,
  kRemovemapping = 49,
  kSyncfs = 50,
  kTmpfile = 51,
  kStatx = 52,
};

// INIT
inline constexpr std::uint64_t kAtomicOTrunc = 1ull << 3;
inline constexpr std::uint64_t kBigWrites = 1ull << 5;
inline constexpr std::uint64_t kDontMask = 1ull << 6;
inline constexpr std::uint64_t kAutoInvalData = 1ull << 12;
inline constexpr std::uint64_t kDoReaddirplus = 1ull << 13;
inline constexpr std::uint64_t kReaddirplusAuto = 1ull << 14;
inline constexpr std::uint64_t kAsyncDio = 1ull << 15;
inline constexpr std::uint64_t kParallelDirops = 1ull << 18;
inline constexpr std::uint64_t kPosixAcl = 1ull << 20;
inline constexpr std::uint64_t kPagesLimit = 1ull << 22;
inline constexpr std::uint64_t kCacheSymlinks = 1ull << 23;
inline constexpr std::uint64_t kMapAlignment = 1ull << 26;
inline constexpr std::uint64_t kHandleKillprivV2 = 1ull << 28;
inline constexpr std::uint64_t kSetxattrExt = 1ull << 29;
inline constexpr std::uint64_t kInitExt = 1ull << 30;
inline constexpr std::uint64_t kHasInodeDax = 1ull << 33;

// struct fuse_attr
inline constexpr std::uint32_t kAttributeDax = 1u << 1;

// SETUPMAPPING
inline constexpr std::uint64_t kMapWritable = 1u << 0;
inline constexpr std::uint64_t kMapReadable = 1u << 1;

// OPEN, CREATE
inline constexpr std::uint32_t kOpenKillSetid = 1u << 0;  // of open_flags in
inline constexpr std::uint32_t kOpenDirectIo = 1u << 0;   // of open_flags out
inline constexpr std::uint32_t kOpenKeepCache = 1u << 1;  // of open_flags out
inline constexpr std::uint32_t kOpenNoFlush = 1u << 5;    // of open_flags out
inline constexpr std::uint32_t kOpenAccessMode = 3;       // of flags, as open(2) has them
inline constexpr std::uint32_t kOpenWriteOnly = 1;
inline constexpr std::uint32_t kOpenReadWrite = 2;
inline constexpr std::uint32_t kOpenExclusive = 0200;
inline constexpr std::uint32_t kOpenTruncate = 01000;
inline constexpr std::uint32_t kOpenAppend = 02000;

// GETATTR, SETATTR
inline constexpr std::uint32_t kSetMode = 1u << 0;
inline constexpr std::uint32_t kSetUid = 1u << 1;
inline constexpr std::uint32_t kSetGid = 1u << 2;
inline constexpr std::uint32_t kSetSize = 1u << 3;
inline constexpr std::uint32_t kSetAccessed = 1u << 4;
inline constexpr std::uint32_t kSetModified = 1u << 5;
inline constexpr std::uint32_t kSetByHandle = 1u << 6;
inline constexpr std::uint32_t kSetAccessedNow = 1u << 7;
inline constexpr std::uint32_t kSetModifiedNow = 1u << 8;
inline constexpr std::uint32_t kSetKillSetid = 1u << 11;

inline constexpr std::uint32_t kWriteFromCache = 1u << 0;
inline constexpr std::uint32_t kWriteKillSetid = 1u << 2;
inline constexpr std::uint32_t kFsyncDataOnly = 1u << 0;
inline constexpr std::uint32_t kSetxattrKillSetgid = 1u << 0;

// stat(2)
inline constexpr std::uint32_t kTypeMask = 0170000;
inline constexpr std::uint32_t kTypeDirectory = 0040000;
inline constexpr std::uint32_t kTypeRegular = 0100000;
inline constexpr std::uint32_t kSetUserId = 04000;
inline constexpr std::uint32_t kSetGroupId = 02000;

// The kernel's 12:20 split of a device number (new_encode_dev of Linux).
inline constexpr std::uint32_t device_number(std::uint32_t major, std::uint32_t minor) {
  return (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
}
inline constexpr std::uint32_t major_of(std::uint32_t number) { return number >> 8 & 0xfff; }
inline constexpr std::uint32_t minor_of(std::uint32_t number) {
  return (number & 0xff) | (number >> 12 & 0xfff00);
}

// errno(3)
inline constexpr int kEperm = 1;
inline constexpr int kEnoent = 2;
inline constexpr int kEio = 5;
inline constexpr int kE2big = 7;
inline constexpr int kEbadf = 9;
inline constexpr int kEagain = 11;
inline constexpr int kEnomem = 12;
inline constexpr int kEexist = 17;
inline constexpr int kExdev = 18;
inline constexpr int kEnotdir = 20;
inline constexpr int kEinval = 22;
inline constexpr int kEnfile = 23;
inline constexpr int kEnotty = 25;
inline constexpr int kErofs = 30;
inline constexpr int kErange = 34;
inline constexpr int kEnametoolong = 36;
inline constexpr int kEnosys = 38;
inline constexpr int kEnodata = 61;
inline constexpr int kEproto = 71;
inline constexpr int kEopnotsupp = 95;

}  // namespace runhv::devices::fuse
