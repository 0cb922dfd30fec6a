#include <memory>

#include "devices/fs/fuse_operations.h"
#include "devices/fs/fuse_rights.h"

namespace runhv::devices::fuse {
namespace {

constexpr std::uint64_t kTopInode = UINT64_MAX;

int status_of(const Session& session, std::uint64_t id, platform::FileStatus& status,
              bool& in_window) {
  in_window = false;
  if (id == kRootId) {
    status.inode = kTopInode;
    status.block_size = kPageBytes;
    status.mode = kTypeDirectory | 0111;
    status.links = 2;
    return 0;
  }
  Node node;
  if (const int failed = session.find(id, node); failed != 0) return failed;
  in_window = node->in_window;
  return node->file->status(status);
}

// struct fuse_attr_out
int answer_attributes(const Session& session, const platform::FileStatus& status, bool in_window,
                      Request& request) {
  request.answer.u64(0).u32(kCacheNs).u32(0);
  session.append_attributes(status, in_window, request.answer);
  return 0;
}

// `arguments`: struct fuse_setattr_in from its size on. `handle`: null, or one of the file.
int change(const platform::FileNode& file, const TreeHandle* handle, std::uint32_t what,
           FuseArguments& arguments) {
  const std::uint64_t size = arguments.u64();
  arguments.skip(8);
  platform::FileTime accessed{.seconds = static_cast<std::int64_t>(arguments.u64())};
  platform::FileTime modified{.seconds = static_cast<std::int64_t>(arguments.u64())};
  arguments.skip(8);
  accessed.nanoseconds = arguments.u32();
  modified.nanoseconds = arguments.u32();
  arguments.skip(4);
  const std::uint32_t mode = arguments.u32();
  arguments.skip(4);
  std::uint32_t uid = arguments.u32();
  std::uint32_t gid = arguments.u32();
  if (!arguments.ok()) return kEinval;

  if ((what & kSetMode) != 0) {
    if (const int failed = file.change_mode(mode); failed != 0) return failed;
  }
  if ((what & (kSetUid | kSetGid)) != 0) {
    if ((what & kSetUid) == 0) uid = kUnchanged;
    if ((what & kSetGid) == 0) gid = kUnchanged;
    if (!take_owner(uid) || !take_owner(gid)) return kEperm;
    if (const int failed = file.change_owner(uid, gid); failed != 0) return failed;
  }
  if ((what & kSetSize) != 0) {
    const int failed = call_killing_setid((what & kSetKillSetid) != 0, file, [&] {
      return handle != nullptr && handle->writable ? handle->file.change_size(size)
                                                   : file.change_size(size);
    });
    if (failed != 0) return failed;
  }
  if ((what & (kSetAccessed | kSetModified)) != 0) {
    const auto choose = [&](platform::FileTime& time, std::uint32_t set, std::uint32_t now) {
      if ((what & set) == 0) {
        time.nanoseconds = platform::FileNode::kTimeAsItIs;
      } else if ((what & now) != 0) {
        time.nanoseconds = platform::FileNode::kTimeNow;
      }
    };
    choose(accessed, kSetAccessed, kSetAccessedNow);
    choose(modified, kSetModified, kSetModifiedNow);
    if (const int failed = file.change_times(accessed, modified); failed != 0) return failed;
  }
  return 0;
}

}  // namespace

int getattr(Session& session, Request& request) {
  platform::FileStatus status;
  bool in_window = false;
  const int failed = status_of(session, request.node, status, in_window);
  return failed != 0 ? failed : answer_attributes(session, status, in_window, request);
}

int setattr(Session& session, Request& request) {
  // struct fuse_setattr_in
  const std::uint32_t what = request.arguments.u32();
  request.arguments.skip(4);
  const std::uint64_t handle_number = request.arguments.u64();
  Node node;
  if (const int failed = session.find_writable(request.node, node); failed != 0) return failed;
  std::shared_ptr<TreeHandle> handle;
  if ((what & kSetByHandle) != 0) {
    handle = session.tree().find_handle(handle_number);
    if (handle == nullptr || handle->node != node) return kEbadf;
  }
  if (const int failed = change(*node->file, handle.get(), what, request.arguments); failed != 0) {
    return failed;
  }
  if ((what & kSetSize) != 0) session.content_changed(*node, 0, UINT64_MAX);
  platform::FileStatus status;
  if (const int failed = node->file->status(status); failed != 0) return failed;
  return answer_attributes(session, status, node->in_window, request);
}

int statx(Session& session, Request& request) {
  platform::FileStatus status;
  bool in_window = false;
  const int failed = status_of(session, request.node, status, in_window);
  if (failed != 0) return failed;
  constexpr std::uint32_t kBasic = 0x7ff;  // STATX_BASIC_STATS
  constexpr std::uint32_t kBorn = 0x800;   // STATX_BTIME
  const bool has_born = status.born.seconds != 0 || status.born.nanoseconds != 0;
  const auto add_time = [&](const platform::FileTime& time) {
    request.answer.u64(static_cast<std::uint64_t>(time.seconds)).u32(time.nanoseconds).u32(0);
  };
  // struct fuse_statx_out, struct fuse_statx
  request.answer.u64(0)
      .u32(kCacheNs)
      .zeros(20)
      .u32(kBasic | (has_born ? kBorn : 0))
      .u32(status.block_size)
      .u64(0)
      .u32(status.links)
      .u32(shown_user(status.uid))
      .u32(shown_group(status.gid))
      .u16(static_cast<std::uint16_t>(status.mode))
      .u16(0)
      .u64(session.tree().inode_number(status.device, status.inode))
      .u64(status.size)
      .u64(status.blocks)
      .u64(0);
  add_time(status.accessed);
  add_time(status.born);
  add_time(status.changed);
  add_time(status.modified);
  request.answer.u32(status.special_major).u32(status.special_minor).zeros(8 + 14 * 8);
  return 0;
}

int statfs(Session& session, Request& request) {
  platform::FileSystemStatus status{
      .block_size = kPageBytes, .fragment_size = kPageBytes, .name_bytes = kMaxNameBytes};
  if (request.node != kRootId) {
    Node node;
    if (const int failed = session.find(request.node, node); failed != 0) return failed;
    if (const int failed = node->file->file_system(status); failed != 0) return failed;
  }
  // struct fuse_kstatfs
  request.answer.u64(status.blocks)
      .u64(status.free_blocks)
      .u64(status.available_blocks)
      .u64(status.files)
      .u64(status.free_files)
      .u32(status.block_size)
      .u32(status.name_bytes)
      .u32(status.fragment_size)
      .zeros(28);
  return 0;
}

}  // namespace runhv::devices::fuse
