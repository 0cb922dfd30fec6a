#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "devices/fs/fuse_operations.h"

namespace runhv::devices::fuse {
namespace {

constexpr std::string_view kAclPrefix = "system.posix_acl_";

bool is_acl(const std::string& name) { return name.starts_with(kAclPrefix); }

// Other attributes mean something to the host's own kernel: overlayfs, IMA, SELinux obey them.
bool may_have_attribute(const std::string& name) {
  if (is_acl(name)) {
    return platform::acts_for_all_users() &&
           (name == "system.posix_acl_access" || name == "system.posix_acl_default");
  }
  return (name.starts_with("user.") && name.size() > 5) || name == "security.capability";
}

}  // namespace

int setxattr(Session& session, Request& request) {
  // struct fuse_setxattr_in
  const std::uint32_t size = request.arguments.u32();
  const std::uint32_t flags = request.arguments.u32();
  std::uint32_t more_flags = 0;
  if (session.has(kSetxattrExt)) {
    more_flags = request.arguments.u32();
    request.arguments.skip(4);
  }
  const std::string name = request.arguments.text();
  const std::span<const std::byte> value = request.arguments.bytes(size);
  if (!request.arguments.ok()) return kEinval;
  Node node;
  if (const int failed = session.find_writable(request.node, node); failed != 0) return failed;
  if (!may_have_attribute(name)) return kEopnotsupp;
  if (const int failed = node->file->set_attribute(name, value, flags); failed != 0) return failed;
  if ((more_flags & kSetxattrKillSetgid) == 0) return 0;
  platform::FileStatus status;
  if (const int failed = node->file->status(status); failed != 0) return failed;
  if ((status.mode & kSetGroupId) == 0) return 0;
  return node->file->change_mode(status.mode & ~kSetGroupId);
}

int getxattr(Session& session, Request& request) {
  // struct fuse_getxattr_in
  const std::uint32_t size = request.arguments.u32();
  request.arguments.skip(4);
  const std::string name = request.arguments.text();
  if (!request.arguments.ok()) return kEinval;
  // The folder of the shares has none. A guest asks for its list where a user is not its owner.
  if (request.node == kRootId) return kEnodata;
  Node node;
  if (const int failed = session.find(request.node, node); failed != 0) return failed;
  if (!may_have_attribute(name)) return kEopnotsupp;
  std::vector<std::byte> value(std::min<std::size_t>(size, kMaxArgumentBytes));
  std::size_t found = 0;
  int failed = node->file->get_attribute(name, value, found);
  // To Linux's permission check only this means that there is no list.
  if (failed == kEopnotsupp && is_acl(name)) failed = kEnodata;
  if (failed != 0) return failed;
  if (size == 0) {
    request.answer.u32(static_cast<std::uint32_t>(found)).u32(0);  // struct fuse_getxattr_out
  } else {
    request.answer.bytes(std::span(value).first(found));
  }
  return 0;
}

int listxattr(Session& session, Request& request) {
  // struct fuse_getxattr_in
  const std::uint32_t size = request.arguments.u32();
  if (!request.arguments.ok()) return kEinval;
  Node node;
  if (const int failed = session.find(request.node, node); failed != 0) return failed;
  std::vector<std::string> names;
  if (const int failed = node->file->list_attributes(names); failed != 0) return failed;
  FuseAnswer list;
  for (const std::string& name : names) {
    if (may_have_attribute(name)) list.bytes(as_bytes(name)).zeros(1);
  }
  if (size == 0) {
    request.answer.u32(static_cast<std::uint32_t>(list.size())).u32(0);
  } else if (list.size() > size) {
    return kErange;
  } else {
    request.answer.bytes(list.written());
  }
  return 0;
}

int removexattr(Session& session, Request& request) {
  const std::string name = request.arguments.text();
  if (!request.arguments.ok()) return kEinval;
  Node node;
  if (const int failed = session.find_writable(request.node, node); failed != 0) return failed;
  return may_have_attribute(name) ? node->file->remove_attribute(name) : kEopnotsupp;
}

}  // namespace runhv::devices::fuse
