#include <charconv>
#include <string>
#include <system_error>

#include "devices/fs/fuse_operations.h"

namespace runhv::devices::fuse {
namespace {

int answer_entry(Session& session, const TreeNode& parent, const std::string& name,
                 Request& request) {
  Node node;
  platform::FileStatus status;
  const int failed = session.look_up(parent, name, request.may_wait, node, status);
  if (failed == 0) session.append_entry(node.get(), status, request.answer);
  return failed;
}

// `name` at the top: the number of a share.
int look_up_share(Session& session, const std::string& name, Request& request) {
  if (!request.may_wait) return kEagain;  // the host's file system may be any
  std::size_t index = 0;
  const auto [end, wrong] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (wrong != std::errc() || end != name.data() + name.size()) return kEnoent;
  Node node;
  platform::FileStatus status;
  const int failed = session.tree().look_up_share(index, node, status);
  if (failed == 0) session.append_entry(node.get(), status, request.answer);
  return failed;
}

// Calls `make` with the directory of the request, for the user whom it names, and answers with what
// is then called `name`.
template <class Make>
int make_entry(Session& session, Request& request, const std::string& name, std::uint32_t umask,
               Make&& make) {
  Node parent;
  if (const int failed = session.find_parent(request, name, parent); failed != 0) return failed;
  {
    const platform::MakesFilesFor who(request.uid, request.gid, umask);
    if (const int failed = make(*parent->file); failed != 0) return failed;
  }
  return answer_entry(session, *parent, name, request);
}

// Behind struct fuse_rename_in or fuse_rename2_in.
int rename_to(Session& session, Request& request, std::uint64_t to_id, std::uint32_t flags) {
  const std::string name = request.arguments.text();
  const std::string to_name = request.arguments.text();
  if (!request.arguments.ok()) return kEinval;
  if (const int failed = check_name(name); failed != 0) return failed;
  if (const int failed = check_name(to_name); failed != 0) return failed;
  Node from;
  Node to;
  if (const int failed = session.find_writable(request.node, from); failed != 0) return failed;
  if (const int failed = session.find_writable(to_id, to); failed != 0) return failed;
  if (from->share != to->share) return kExdev;
  const platform::MakesFilesFor who(request.uid, request.gid, 0);  // RENAME_WHITEOUT makes one
  return from->file->rename(name, *to->file, to_name, flags);
}

}  // namespace

int lookup(Session& session, Request& request) {
  const std::string name = request.arguments.text();
  if (!request.arguments.ok()) return kEinval;
  if (const int failed = check_name(name); failed != 0) return failed;
  if (request.node == kRootId) return look_up_share(session, name, request);
  Node parent;
  if (const int failed = session.find(request.node, parent); failed != 0) return failed;
  const int failed = answer_entry(session, *parent, name, request);
  if (failed != kEnoent) return failed;
  // The guest may believe as long as a name that there is none.
  session.append_entry(nullptr, platform::FileStatus(), request.answer);
  return 0;
}

int forget(Session& session, Request& request) {
  request.wants_answer = false;
  const std::uint64_t lookups = request.arguments.u64();
  if (request.arguments.ok()) session.tree().forget(request.node, lookups);
  return 0;
}

int batch_forget(Session& session, Request& request) {
  request.wants_answer = false;
  const std::uint32_t count = request.arguments.u32();
  request.arguments.skip(4);
  for (std::uint32_t i = 0; i < count && request.arguments.ok(); ++i) {
    const std::uint64_t id = request.arguments.u64();
    const std::uint64_t lookups = request.arguments.u64();
    if (request.arguments.ok()) session.tree().forget(id, lookups);
  }
  return 0;
}

int readlink(Session& session, Request& request) {
  Node node;
  if (const int failed = session.find(request.node, node); failed != 0) return failed;
  std::string target;
  if (const int failed = node->file->read_symbolic_link(target); failed != 0) return failed;
  request.answer.bytes(as_bytes(target));
  return 0;
}

int symlink(Session& session, Request& request) {
  const std::string name = request.arguments.text();
  const std::string target = request.arguments.text();
  return make_entry(session, request, name, 0, [&](const platform::FileNode& parent) {
    return parent.make_symbolic_link(name, target);
  });
}

int mknod(Session& session, Request& request) {
  // struct fuse_mknod_in
  const std::uint32_t mode = request.arguments.u32();
  const std::uint32_t number = request.arguments.u32();
  const std::uint32_t umask = request.arguments.u32();
  request.arguments.skip(4);
  const std::string name = request.arguments.text();
  return make_entry(session, request, name, umask, [&](const platform::FileNode& parent) {
    return parent.make_special(name, mode, major_of(number), minor_of(number));
  });
}

int mkdir(Session& session, Request& request) {
  // struct fuse_mkdir_in
  const std::uint32_t mode = request.arguments.u32();
  const std::uint32_t umask = request.arguments.u32();
  const std::string name = request.arguments.text();
  return make_entry(session, request, name, umask, [&](const platform::FileNode& parent) {
    return parent.make_directory(name, mode);
  });
}

int unlink(Session& session, Request& request) {
  const std::string name = request.arguments.text();
  Node parent;
  const int failed = session.find_parent(request, name, parent);
  return failed != 0 ? failed : parent->file->remove(name);
}

int rmdir(Session& session, Request& request) {
  const std::string name = request.arguments.text();
  Node parent;
  const int failed = session.find_parent(request, name, parent);
  return failed != 0 ? failed : parent->file->remove_directory(name);
}

int rename(Session& session, Request& request) {
  const std::uint64_t to_id = request.arguments.u64();  // struct fuse_rename_in
  return rename_to(session, request, to_id, 0);
}

int rename2(Session& session, Request& request) {
  // struct fuse_rename2_in
  const std::uint64_t to_id = request.arguments.u64();
  const std::uint32_t flags = request.arguments.u32();
  request.arguments.skip(4);
  return rename_to(session, request, to_id, flags);
}

int link(Session& session, Request& request) {
  const std::uint64_t file_id = request.arguments.u64();  // struct fuse_link_in
  const std::string name = request.arguments.text();
  Node parent;
  Node file;
  if (const int failed = session.find_parent(request, name, parent); failed != 0) return failed;
  if (const int failed = session.find(file_id, file); failed != 0) return failed;
  // Else what may only be read would be written by its other name.
  if (file->share != parent->share) return kExdev;
  if (const int failed = parent->file->link(name, *file->file); failed != 0) return failed;
  return answer_entry(session, *parent, name, request);
}

}  // namespace runhv::devices::fuse
