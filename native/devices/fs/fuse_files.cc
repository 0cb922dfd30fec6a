#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "devices/fs/fuse_operations.h"
#include "devices/fs/fuse_rights.h"

namespace runhv::devices::fuse {
namespace {

platform::FileAccess access_of(std::uint32_t flags) {
  switch (flags & kOpenAccessMode) {
    case kOpenWriteOnly:
      return platform::FileAccess::kWrite;
    case kOpenReadWrite:
      return platform::FileAccess::kReadWrite;
    default:
      return platform::FileAccess::kRead;
  }
}

template <class Byte>
std::vector<std::span<Byte>> parts_of(SegmentCursor<Byte>& cursor, std::size_t size) {
  std::vector<std::span<Byte>> parts;
  while (size > 0) {
    const std::span<Byte> part = cursor.take(size);
    if (part.empty()) break;
    parts.push_back(part);
    size -= part.size();
  }
  return parts;
}

// As OPEN and CREATE ask for it.
int open_file(const platform::FileNode& node, std::uint32_t flags, std::uint32_t more_flags,
              platform::OpenFile& file) {
  const bool truncate = (flags & kOpenTruncate) != 0;
  const bool kill = truncate && (more_flags & kOpenKillSetid) != 0;
  return call_killing_setid(kill, node,
                            [&] { return node.open(access_of(flags), truncate, file); });
}

}  // namespace

int open(Session& session, Request& request) {
  // struct fuse_open_in
  const std::uint32_t flags = request.arguments.u32();
  const std::uint32_t more_flags = request.arguments.u32();
  if (!request.arguments.ok()) return kEinval;
  const platform::FileAccess access = access_of(flags);
  const bool only_read = access == platform::FileAccess::kRead && (flags & kOpenTruncate) == 0;
  Node node;
  const int known =
      only_read ? session.find(request.node, node) : session.find_writable(request.node, node);
  if (known != 0) return known;
  platform::OpenFile file;
  const int failed = open_file(*node->file, flags, more_flags, file);
  return failed != 0 ? failed : session.append_open(node, std::move(file), access, request.answer);
}

int create(Session& session, Request& request) {
  // struct fuse_create_in
  const std::uint32_t flags = request.arguments.u32();
  const std::uint32_t mode = request.arguments.u32();
  const std::uint32_t umask = request.arguments.u32();
  const std::uint32_t more_flags = request.arguments.u32();
  const std::string name = request.arguments.text();
  Node parent;
  if (const int failed = session.find_parent(request, name, parent); failed != 0) return failed;
  const platform::FileAccess access = access_of(flags);
  platform::OpenFile file;
  platform::FileNode made;
  int failed = 0;
  {
    const platform::MakesFilesFor who(request.uid, request.gid, umask);
    failed = parent->file->create(name, mode & 07777, access, file, made);
  }
  // The host has made one since the guest looked.
  const bool exists = failed == kEexist && (flags & kOpenExclusive) == 0;
  if (exists) failed = parent->file->look_up(name, parent->cross_mounts, made);
  if (failed != 0) return failed;
  Node node;
  platform::FileStatus status;
  failed = session.tree().adopt(*parent, std::move(made), node, status);
  if (failed != 0) return failed;
  if (exists) failed = open_file(*node->file, flags, more_flags, file);
  if (exists && failed == 0) failed = node->file->status(status);
  session.append_entry(node.get(), status, request.answer);
  if (failed == 0) failed = session.append_open(node, std::move(file), access, request.answer);
  if (failed != 0) session.tree().forget(node->id, 1);
  return failed;
}

int tmpfile(Session& session, Request& request) {
  // struct fuse_create_in; the name means nothing
  request.arguments.skip(4);
  const std::uint32_t mode = request.arguments.u32();
  const std::uint32_t umask = request.arguments.u32();
  if (!request.arguments.ok()) return kEinval;
  Node parent;
  if (const int failed = session.find_writable(request.node, parent); failed != 0) return failed;
  platform::OpenFile file;
  platform::FileNode made;
  int failed = 0;
  {
    const platform::MakesFilesFor who(request.uid, request.gid, umask);
    failed = parent->file->create_unnamed(mode & 07777, file, made);
  }
  if (failed != 0) return failed;
  Node node;
  platform::FileStatus status;
  failed = session.tree().adopt(*parent, std::move(made), node, status);
  if (failed != 0) return failed;
  session.append_entry(node.get(), status, request.answer);
  failed =
      session.append_open(node, std::move(file), platform::FileAccess::kReadWrite, request.answer);
  if (failed != 0) session.tree().forget(node->id, 1);
  return failed;
}

int read(Session& session, Request& request) {
  // struct fuse_read_in
  const auto handle = session.tree().find_handle(request.arguments.u64());
  const std::uint64_t offset = request.arguments.u64();
  const std::size_t size = request.arguments.u32();
  if (!request.arguments.ok()) return kEinval;
  if (handle == nullptr) return kEbadf;
  const auto parts = parts_of(request.room, std::min(size, kMaxTransferBytes));
  return request.may_wait ? handle->file.read_at(offset, parts, request.in_place)
                          : handle->file.read_at_once(offset, parts, request.in_place);
}

int write(Session& session, Request& request) {
  // struct fuse_write_in
  const auto handle = session.tree().find_handle(request.arguments.u64());
  const std::uint64_t offset = request.arguments.u64();
  const std::size_t size = request.arguments.u32();
  const std::uint32_t how = request.arguments.u32();
  request.arguments.skip(8);
  const std::uint32_t flags = request.arguments.u32();
  if (!request.arguments.ok() || size != request.content.remaining() || size > kMaxTransferBytes) {
    return kEinval;
  }
  if (handle == nullptr) return kEbadf;
  // What a program appends goes to the end that the host knows; a page of the guest's cache has its
  // place.
  const bool append = (flags & kOpenAppend) != 0 && (how & kWriteFromCache) == 0;
  const auto parts = parts_of(request.content, size);
  std::size_t done = 0;
  const int failed = call_killing_setid((how & kWriteKillSetid) != 0, *handle->node->file, [&] {
    return handle->file.write_at(offset, parts, append, done);
  });
  if (failed != 0) return failed;
  // An appended one is somewhere before the end.
  session.content_changed(*handle->node, append ? 0 : offset, append ? UINT64_MAX : done);
  request.answer.u32(static_cast<std::uint32_t>(done)).u32(0);  // struct fuse_write_out
  return 0;
}

int release(Session& session, Request& request) {
  const std::uint64_t number = request.arguments.u64();  // struct fuse_release_in
  const auto handle = session.tree().find_handle(number);
  if (handle == nullptr || !session.tree().remove_handle(number)) return kEbadf;
  return handle->writable ? session.writers_changed(handle->node) : 0;
}

int fsync(Session& session, Request& request) {
  // struct fuse_fsync_in
  const auto handle = session.tree().find_handle(request.arguments.u64());
  const std::uint32_t flags = request.arguments.u32();
  if (!request.arguments.ok()) return kEinval;
  if (handle == nullptr) return kEbadf;
  if (const int failed = handle->file.sync((flags & kFsyncDataOnly) != 0); failed != 0) {
    return failed;
  }
  const bool lost =
      session.window() != nullptr && session.window()->take_lost_writes(*handle->node);
  return lost ? kEio : 0;
}

int syncfs(Session& session) {
  for (const auto& top : session.tree().writable_tops()) {
    platform::OpenFile file;
    int failed = top->open_directory(file);
    if (failed == kEnotdir) failed = top->open(platform::FileAccess::kRead, false, file);
    if (failed == 0) failed = file.sync_file_system();
    if (failed != 0) return failed;
  }
  return 0;
}

int flush(Session& session, Request& request) {
  const auto handle = session.tree().find_handle(request.arguments.u64());  // struct fuse_flush_in
  return handle == nullptr ? kEbadf : handle->file.flush();
}

int fallocate(Session& session, Request& request) {
  // struct fuse_fallocate_in
  const auto handle = session.tree().find_handle(request.arguments.u64());
  const std::uint64_t offset = request.arguments.u64();
  const std::uint64_t size = request.arguments.u64();
  const std::uint32_t mode = request.arguments.u32();
  if (!request.arguments.ok()) return kEinval;
  if (handle == nullptr) return kEbadf;
  const int failed = handle->file.allocate(mode, offset, size);
  // One that inserts or takes away moves all that follows.
  session.content_changed(*handle->node, 0, UINT64_MAX);
  return failed;
}

int lseek(Session& session, Request& request) {
  // struct fuse_lseek_in
  const auto handle = session.tree().find_handle(request.arguments.u64());
  const std::uint64_t offset = request.arguments.u64();
  const std::uint32_t whence = request.arguments.u32();
  if (!request.arguments.ok()) return kEinval;
  if (handle == nullptr) return kEbadf;
  std::uint64_t found = 0;
  if (const int failed = handle->file.find_data(offset, whence, found); failed != 0) return failed;
  request.answer.u64(found);
  return 0;
}

int copy_file_range(Session& session, Request& request) {
  // struct fuse_copy_file_range_in
  const auto from = session.tree().find_handle(request.arguments.u64());
  const std::uint64_t offset = request.arguments.u64();
  request.arguments.skip(8);
  const auto to = session.tree().find_handle(request.arguments.u64());
  const std::uint64_t to_offset = request.arguments.u64();
  const std::uint64_t size = request.arguments.u64();
  const std::uint64_t flags = request.arguments.u64();
  if (!request.arguments.ok() || flags != 0) return kEinval;
  if (from == nullptr || to == nullptr) return kEbadf;
  std::size_t done = 0;
  const int failed = from->file.copy_range(offset, to->file, to_offset,
                                           std::min<std::uint64_t>(size, kMaxCopyBytes), done);
  if (failed != 0) return failed;
  session.content_changed(*to->node, to_offset, done);
  request.answer.u32(static_cast<std::uint32_t>(done)).u32(0);
  return 0;
}

}  // namespace runhv::devices::fuse
