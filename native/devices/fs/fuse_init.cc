#include <algorithm>

#include "devices/fs/fuse_operations.h"

namespace runhv::devices::fuse {
namespace {

// Not ASYNC_READ: with it the guest's kernel does not wait for what it reads ahead, and each answer
// is an interrupt, which costs it more than the wait for a copy.
constexpr std::uint64_t kOffered = kAtomicOTrunc | kBigWrites | kDontMask | kAutoInvalData |
                                   kDoReaddirplus | kReaddirplusAuto | kAsyncDio | kParallelDirops |
                                   kPosixAcl | kPagesLimit | kCacheSymlinks | kHandleKillprivV2 |
                                   kSetxattrExt | kInitExt | kMapAlignment | kHasInodeDax;

}  // namespace

int init(Session& session, Request& request) {
  // struct fuse_init_in
  FuseArguments& in = request.arguments;
  const std::uint32_t major = in.u32();
  const std::uint32_t minor = in.u32();
  const std::uint32_t readahead = in.u32();
  std::uint64_t offered = in.u32();
  if (!in.ok()) return kEinval;
  if (major < kMajor || (major == kMajor && minor < kLeastMinor)) return kEproto;
  if ((offered & kInitExt) != 0) offered |= std::uint64_t{in.u32()} << 32;
  session.clear();
  std::uint64_t features = 0;
  if (major == kMajor) {
    features = offered & kOffered;
    if (!platform::acts_for_all_users()) features &= ~kPosixAcl;
    if (session.window() == nullptr) features &= ~(kMapAlignment | kHasInodeDax);
  }
  // A driver of a later major version asks again, with ours.
  session.begin(features);
  // struct fuse_init_out
  request.answer.u32(kMajor)
      .u32(kMinor)
      .u32(std::min<std::uint32_t>(readahead, kMaxTransferBytes))
      .u32(static_cast<std::uint32_t>(features))
      .u16(64)  // requests in the background
      .u16(48)  // of them, until the host counts as slow
      .u32(kMaxTransferBytes)
      .u32(1)  // granularity of times, ns
      .u16(static_cast<std::uint16_t>(kMaxTransferBytes / kPageBytes))
      .u16((features & kMapAlignment) != 0 ? FileWindow::kRangeShift : 0)
      .u32(static_cast<std::uint32_t>(features >> 32))
      .zeros(28);
  return 0;
}

int destroy(Session& session) {
  session.clear();
  return 0;
}

}  // namespace runhv::devices::fuse
