#include <algorithm>
#include <mutex>
#include <string>
#include <vector>

#include "devices/fs/fuse_operations.h"

namespace runhv::devices::fuse {
namespace {

int read_directory(Session& session, Request& request, bool with_attributes) {
  // struct fuse_read_in
  const auto handle = session.tree().find_handle(request.arguments.u64());
  std::uint64_t offset = request.arguments.u64();
  const std::size_t asked = request.arguments.u32();
  if (!request.arguments.ok()) return kEinval;
  if (handle == nullptr) return kEbadf;
  const std::size_t room = std::min({asked, request.room.remaining(), kMaxDirectoryBytes});
  const TreeNode& parent = *handle->node;
  platform::FileStatus own;
  if (const int failed = parent.file->status(own); failed != 0) return failed;

  // A quarter: an entry of the answer is larger than one of the host's.
  std::vector<std::byte> buffer(std::max<std::size_t>(room / (with_attributes ? 4 : 1), 512));
  std::vector<platform::DirectoryEntry> entries;
  const std::lock_guard lock(handle->reading);
  if (const int failed = handle->file.read_directory(offset, buffer, entries); failed != 0) {
    return failed;
  }
  constexpr std::size_t kDirentBytes = 24;  // struct fuse_dirent
  for (const platform::DirectoryEntry& entry : entries) {
    const std::size_t padding = -entry.name.size() & 7;
    const std::size_t size =
        (with_attributes ? kEntryBytes : 0) + kDirentBytes + entry.name.size() + padding;
    if (request.answer.size() + size > room) break;
    const bool is_link_up = entry.name == "..";
    if (with_attributes) {
      Node node;
      platform::FileStatus status;
      if (entry.name != "." && !is_link_up &&
          session.look_up(parent, std::string(entry.name), true, node, status) == 0) {
        session.append_entry(node.get(), status, request.answer);
      } else {
        request.answer.zeros(kEntryBytes);  // the guest looks it up when it wants to know
      }
    }
    // What lies above a share is not the guest's to know.
    request.answer
        .u64(session.tree().inode_number(own.device, is_link_up ? own.inode : entry.inode))
        .u64(entry.next)
        .u32(static_cast<std::uint32_t>(entry.name.size()))
        .u32(entry.type)
        .bytes(as_bytes(entry.name))
        .zeros(padding);
  }
  return 0;
}

}  // namespace

int opendir(Session& session, Request& request) {
  Node node;
  if (const int failed = session.find(request.node, node); failed != 0) return failed;
  platform::OpenFile file;
  if (const int failed = node->file->open_directory(file); failed != 0) return failed;
  return session.append_open(node, std::move(file), platform::FileAccess::kRead, request.answer);
}

int readdir(Session& session, Request& request) { return read_directory(session, request, false); }

int readdirplus(Session& session, Request& request) {
  return read_directory(session, request, true);
}

}  // namespace runhv::devices::fuse
