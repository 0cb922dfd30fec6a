#include "devices/fs/fuse_session.h"

#include "devices/fs/fuse_rights.h"

namespace runhv::devices::fuse {

int check_name(const std::string& name) {
  if (name.size() > kMaxNameBytes) return kEnametoolong;
  const bool good =
      !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
  return good ? 0 : kEinval;
}

int Session::find(std::uint64_t id, Node& node) const {
  node = tree_.find(id);
  return node == nullptr ? kEnoent : 0;
}

int Session::find_writable(std::uint64_t id, Node& node) const {
  if (id == kRootId) return kErofs;
  if (const int failed = find(id, node); failed != 0) return failed;
  return node->read_only ? kErofs : 0;
}

int Session::find_parent(const Request& request, const std::string& name, Node& parent) const {
  if (!request.arguments.ok()) return kEinval;
  if (const int failed = check_name(name); failed != 0) return failed;
  return find_writable(request.node, parent);
}

int Session::look_up(const TreeNode& parent, const std::string& name, bool may_wait, Node& node,
                     platform::FileStatus& status) {
  platform::FileNode file;
  const int failed = may_wait ? parent.file->look_up(name, parent.cross_mounts, file)
                              : parent.file->look_up_at_once(name, file);
  return failed != 0 ? failed : tree_.adopt(parent, std::move(file), node, status);
}

void Session::append_attributes(const platform::FileStatus& status, bool in_window,
                                FuseAnswer& answer) const {
  answer.u64(tree_.inode_number(status.device, status.inode))
      .u64(status.size)
      .u64(status.blocks)
      .u64(static_cast<std::uint64_t>(status.accessed.seconds))
      .u64(static_cast<std::uint64_t>(status.modified.seconds))
      .u64(static_cast<std::uint64_t>(status.changed.seconds))
      .u32(status.accessed.nanoseconds)
      .u32(status.modified.nanoseconds)
      .u32(status.changed.nanoseconds)
      .u32(status.mode)
      .u32(status.links)
      .u32(shown_user(status.uid))
      .u32(shown_group(status.gid))
      .u32(device_number(status.special_major, status.special_minor))
      .u32(status.block_size)
      .u32(in_window ? kAttributeDax : 0);
}

void Session::append_entry(const TreeNode* node, const platform::FileStatus& status,
                           FuseAnswer& answer) const {
  const std::uint64_t id = node == nullptr ? 0 : node->id;
  answer.u64(id).u64(0).u64(0).u64(0).u32(kCacheNs).u32(kCacheNs);
  append_attributes(status, node != nullptr && node->in_window, answer);
}

int Session::append_open(const Node& node, platform::OpenFile file, platform::FileAccess access,
                         FuseAnswer& answer) {
  const bool writable = access != platform::FileAccess::kRead;
  const bool flush_may_tell = writable && file.flush_may_tell();
  auto handle = std::make_shared<TreeHandle>();
  handle->node = node;
  handle->file = std::move(file);
  handle->writable = writable;
  std::uint64_t number = 0;
  if (const int failed = tree_.add_handle(std::move(handle), number); failed != 0) return failed;
  if (const int failed = writable ? writers_changed(node) : 0; failed != 0) {
    tree_.remove_handle(number);
    return failed;
  }
  // Whoever opens it may run it: what the host or another guest has written to it since a processor
  // decoded it is what counts from now on.
  content_changed(*node, 0, UINT64_MAX);
  // Content stays until a look at the attributes shows that it has changed. Who can only write
  // would fill the guest's cache for nobody, and each write comes here in either case.
  std::uint32_t flags = access == platform::FileAccess::kWrite ? kOpenDirectIo : kOpenKeepCache;
  if (!flush_may_tell) flags |= kOpenNoFlush;
  answer.u64(number).u32(flags).u32(0);
  return 0;
}

}  // namespace runhv::devices::fuse
