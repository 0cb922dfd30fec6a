#include "devices/fs/fuse_server.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include "devices/fs/fuse_message.h"
#include "devices/fs/fuse_protocol.h"

namespace runhv::devices {

using fuse::Opcode;

namespace {

// Not ASYNC_READ: with it the guest's kernel does not wait for what it reads ahead, and each answer
// is an interrupt, which costs it more than the wait for a copy.
constexpr std::uint64_t kOffered =
    fuse::kAtomicOTrunc | fuse::kBigWrites | fuse::kDontMask | fuse::kAutoInvalData |
    fuse::kDoReaddirplus | fuse::kReaddirplusAuto | fuse::kAsyncDio | fuse::kParallelDirops |
    fuse::kPosixAcl | fuse::kPagesLimit | fuse::kCacheSymlinks | fuse::kHandleKillprivV2 |
    fuse::kSetxattrExt | fuse::kInitExt;
constexpr std::uint64_t kInitialized = 1ull << 63;  // beside the features
constexpr std::uint32_t kPageBytes = 4096;
constexpr std::uint32_t kUnchanged = UINT32_MAX;  // of an owner
constexpr std::uint32_t kNobody = 65534;
constexpr std::uint64_t kTopInode = UINT64_MAX;
constexpr std::string_view kAclPrefix = "system.posix_acl_";

// Owners as the guest sees them. Who may not give files away has one user to show: its own is the
// guest's root, and every other nobody, as in a user namespace of a single user.
std::uint32_t shown_user(std::uint32_t uid) {
  if (platform::acts_for_all_users()) return uid;
  return uid == platform::own_user() ? 0 : kNobody;
}
std::uint32_t shown_group(std::uint32_t gid) {
  if (platform::acts_for_all_users()) return gid;
  return gid == platform::own_group() ? 0 : kNobody;
}
// Of what the guest sets. False: there is no such owner to be had.
bool take_owner(std::uint32_t& id) {
  if (platform::acts_for_all_users() || id == kUnchanged) return true;
  const bool mine = id == 0;
  id = kUnchanged;
  return mine;
}

bool is_acl(const std::string& name) { return name.starts_with(kAclPrefix); }

// Other attributes mean something to the host's own kernel: overlayfs, IMA, SELinux obey them.
bool may_have_attribute(const std::string& name) {
  if (is_acl(name)) {
    return platform::acts_for_all_users() &&
           (name == "system.posix_acl_access" || name == "system.posix_acl_default");
  }
  return (name.starts_with("user.") && name.size() > 5) || name == "security.capability";
}

int check_name(const std::string& name) {
  if (name.size() > FuseServer::kMaxNameBytes) return fuse::kEnametoolong;
  const bool good =
      !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
  return good ? 0 : fuse::kEinval;
}

// The kernel's 12:20 split of a device number (new_encode_dev of Linux).
std::uint32_t device_number(std::uint32_t major, std::uint32_t minor) {
  return (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
}
std::uint32_t major_of(std::uint32_t number) { return number >> 8 & 0xfff; }
std::uint32_t minor_of(std::uint32_t number) { return (number & 0xff) | (number >> 12 & 0xfff00); }

platform::FileAccess access_of(std::uint32_t flags) {
  switch (flags & fuse::kOpenAccessMode) {
    case fuse::kOpenWriteOnly:
      return platform::FileAccess::kWrite;
    case fuse::kOpenReadWrite:
      return platform::FileAccess::kReadWrite;
    default:
      return platform::FileAccess::kRead;
  }
}

// Whether writing to the file would have to take bits away that its mode has.
bool has_setid(const platform::FileNode& file) {
  platform::FileStatus status;
  return file.status(status) == 0 && (status.mode & (fuse::kSetUserId | fuse::kSetGroupId)) != 0;
}

// Runs `call` as somebody who may not keep set-user-ID bits, where the guest's kernel asks for it.
// Without rights over others' files the host takes them away by itself.
template <class Call>
int call_killing_setid(bool kill, const platform::FileNode& file, Call&& call) {
  if (!kill || !platform::acts_for_all_users() || !has_setid(file)) return call();
  const platform::WithoutKeepingSetid guard;
  return call();
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
  if (!arguments.ok()) return fuse::kEinval;

  if ((what & fuse::kSetMode) != 0) {
    if (const int failed = file.change_mode(mode); failed != 0) return failed;
  }
  if ((what & (fuse::kSetUid | fuse::kSetGid)) != 0) {
    if ((what & fuse::kSetUid) == 0) uid = kUnchanged;
    if ((what & fuse::kSetGid) == 0) gid = kUnchanged;
    if (!take_owner(uid) || !take_owner(gid)) return fuse::kEperm;
    if (const int failed = file.change_owner(uid, gid); failed != 0) return failed;
  }
  if ((what & fuse::kSetSize) != 0) {
    const int failed = call_killing_setid((what & fuse::kSetKillSetid) != 0, file, [&] {
      return handle != nullptr && handle->writable ? handle->file.change_size(size)
                                                   : file.change_size(size);
    });
    if (failed != 0) return failed;
  }
  if ((what & (fuse::kSetAccessed | fuse::kSetModified)) != 0) {
    const auto choose = [&](platform::FileTime& time, std::uint32_t set, std::uint32_t now) {
      if ((what & set) == 0) {
        time.nanoseconds = platform::FileNode::kTimeAsItIs;
      } else if ((what & now) != 0) {
        time.nanoseconds = platform::FileNode::kTimeNow;
      }
    };
    choose(accessed, fuse::kSetAccessed, fuse::kSetAccessedNow);
    choose(modified, fuse::kSetModified, fuse::kSetModifiedNow);
    if (const int failed = file.change_times(accessed, modified); failed != 0) return failed;
  }
  return 0;
}

}  // namespace

struct FuseServer::Request {
  Opcode opcode;
  std::uint64_t unique;
  std::uint64_t node;
  std::uint32_t uid;
  std::uint32_t gid;
  FuseArguments arguments;
  ReadCursor content;  // of a WRITE, behind its arguments
  WriteCursor room;    // behind the header of the answer
  FuseAnswer answer;
  std::size_t in_place = 0;  // bytes of the answer that are in `room` already
  bool may_wait = true;
  bool wants_answer = true;
};

std::uint32_t FuseServer::serve(std::span<const ReadSegment> in,
                                std::span<const WriteSegment> out) {
  return *answer(in, out, true);
}

std::optional<std::uint32_t> FuseServer::serve_at_once(std::span<const ReadSegment> in,
                                                       std::span<const WriteSegment> out) {
  return answer(in, out, false);
}

std::optional<std::uint32_t> FuseServer::answer(std::span<const ReadSegment> in,
                                                std::span<const WriteSegment> out, bool may_wait) {
  ReadCursor cursor(in);
  const std::size_t in_bytes = cursor.remaining();
  std::array<std::byte, fuse::kInHeaderBytes> header;
  if (cursor.read(header) != header.size()) return 0;
  // struct fuse_in_header
  FuseArguments fields(header);
  const std::uint32_t length = fields.u32();
  const auto opcode = static_cast<Opcode>(fields.u32());
  if (!may_wait && opcode != Opcode::kRead && opcode != Opcode::kLookup) return std::nullopt;
  const std::uint64_t unique = fields.u64();
  const std::uint64_t node = fields.u64();
  const std::uint32_t uid = fields.u32();
  const std::uint32_t gid = fields.u32();

  constexpr std::size_t kWriteArgumentBytes = 40;  // struct fuse_write_in
  std::vector<std::byte> arguments(std::min(
      cursor.remaining(), opcode == Opcode::kWrite ? kWriteArgumentBytes : kMaxArgumentBytes));
  cursor.read(arguments);
  Request request{.opcode = opcode,
                  .unique = unique,
                  .node = node,
                  .uid = uid,
                  .gid = gid,
                  .arguments = FuseArguments(arguments),
                  .content = cursor,
                  .room = WriteCursor(out),
                  .answer = {},
                  .may_wait = may_wait};
  const std::size_t room = request.room.remaining();
  request.room.skip(fuse::kOutHeaderBytes);

  int failed = 0;
  if (length != in_bytes || (opcode != Opcode::kWrite && cursor.remaining() != 0)) {
    failed = fuse::kEinval;
  } else if (features_.load() == 0 && opcode != Opcode::kInit) {
    failed = fuse::kEio;
  } else {
    failed = dispatch(request);
    if (failed == fuse::kEagain && !may_wait) return std::nullopt;
  }
  if (!request.wants_answer || room < fuse::kOutHeaderBytes) return 0;
  if (failed == 0 && request.answer.size() > room - fuse::kOutHeaderBytes) failed = fuse::kEio;
  const std::size_t body = failed != 0 ? 0 : request.answer.size() + request.in_place;
  // struct fuse_out_header
  FuseAnswer head;
  head.u32(static_cast<std::uint32_t>(fuse::kOutHeaderBytes + body))
      .u32(static_cast<std::uint32_t>(-failed))
      .u64(unique);
  WriteCursor written(out);
  written.write(head.written());
  if (failed == 0) written.write(request.answer.written());
  return static_cast<std::uint32_t>(fuse::kOutHeaderBytes + body);
}

int FuseServer::dispatch(Request& request) {
  switch (request.opcode) {
    case Opcode::kInit:
      return initialize(request);
    case Opcode::kDestroy:
      tree_.clear();
      return 0;
    case Opcode::kLookup:
      return look_up(request);
    case Opcode::kForget:
      return forget(request);
    case Opcode::kBatchForget:
      return batch_forget(request);
    case Opcode::kInterrupt:
      // No request here waits for what a signal could end.
      request.wants_answer = false;
      return 0;
    case Opcode::kGetattr:
      return get_attributes(request);
    case Opcode::kSetattr:
      return set_attributes(request);
    case Opcode::kStatx:
      return extended_status(request);
    case Opcode::kReadlink:
      return read_link(request);
    case Opcode::kSymlink:
      return make_link(request);
    case Opcode::kMknod:
      return make_special(request);
    case Opcode::kMkdir:
      return make_directory(request);
    case Opcode::kUnlink:
      return remove(request, false);
    case Opcode::kRmdir:
      return remove(request, true);
    case Opcode::kRename:
      return rename(request, false);
    case Opcode::kRename2:
      return rename(request, true);
    case Opcode::kLink:
      return link(request);
    case Opcode::kOpen:
      return open(request);
    case Opcode::kCreate:
      return create(request);
    case Opcode::kTmpfile:
      return create_unnamed(request);
    case Opcode::kRead:
      return read(request);
    case Opcode::kWrite:
      return write(request);
    case Opcode::kStatfs:
      return file_system(request);
    case Opcode::kRelease:
    case Opcode::kReleasedir:
      return release(request);
    case Opcode::kFsync:
    case Opcode::kFsyncdir:
      return sync(request);
    case Opcode::kSyncfs:
      return sync_file_systems();
    case Opcode::kFlush:
      return flush(request);
    case Opcode::kOpendir:
      return open_directory(request);
    case Opcode::kReaddir:
      return read_directory(request, false);
    case Opcode::kReaddirplus:
      return read_directory(request, true);
    case Opcode::kFallocate:
      return allocate(request);
    case Opcode::kLseek:
      return find_data(request);
    case Opcode::kCopyFileRange:
      return copy_range(request);
    case Opcode::kSetxattr:
      return set_attribute(request);
    case Opcode::kGetxattr:
      return get_attribute(request);
    case Opcode::kListxattr:
      return list_attributes(request);
    case Opcode::kRemovexattr:
      return remove_attribute(request);
    case Opcode::kIoctl:
      return fuse::kEnotty;
  }
  return fuse::kEnosys;
}

// --- the session ---------------------------------------------------------------------------------

int FuseServer::initialize(Request& request) {
  // struct fuse_init_in
  FuseArguments& in = request.arguments;
  const std::uint32_t major = in.u32();
  const std::uint32_t minor = in.u32();
  const std::uint32_t readahead = in.u32();
  std::uint64_t offered = in.u32();
  if (!in.ok()) return fuse::kEinval;
  if (major < fuse::kMajor || (major == fuse::kMajor && minor < fuse::kLeastMinor)) {
    return fuse::kEproto;
  }
  if ((offered & fuse::kInitExt) != 0) offered |= std::uint64_t{in.u32()} << 32;
  tree_.clear();
  std::uint64_t features = 0;
  if (major == fuse::kMajor) {
    features = offered & kOffered;
    if (!platform::acts_for_all_users()) features &= ~fuse::kPosixAcl;
  }
  // A driver of a later major version asks again, with ours.
  features_.store(features | kInitialized);
  // struct fuse_init_out
  request.answer.u32(fuse::kMajor)
      .u32(fuse::kMinor)
      .u32(std::min<std::uint32_t>(readahead, kMaxTransferBytes))
      .u32(static_cast<std::uint32_t>(features))
      .u16(64)  // requests in the background
      .u16(48)  // of them, until the host counts as slow
      .u32(kMaxTransferBytes)
      .u32(1)  // granularity of times, ns
      .u16(static_cast<std::uint16_t>(kMaxTransferBytes / kPageBytes))
      .u16(0)
      .u32(static_cast<std::uint32_t>(features >> 32))
      .zeros(28);
  return 0;
}

int FuseServer::forget(Request& request) {
  request.wants_answer = false;
  const std::uint64_t lookups = request.arguments.u64();
  if (request.arguments.ok()) tree_.forget(request.node, lookups);
  return 0;
}

int FuseServer::batch_forget(Request& request) {
  request.wants_answer = false;
  const std::uint32_t count = request.arguments.u32();
  request.arguments.skip(4);
  for (std::uint32_t i = 0; i < count && request.arguments.ok(); ++i) {
    const std::uint64_t id = request.arguments.u64();
    const std::uint64_t lookups = request.arguments.u64();
    if (request.arguments.ok()) tree_.forget(id, lookups);
  }
  return 0;
}

// --- names ---------------------------------------------------------------------------------------

int FuseServer::node_of(std::uint64_t id, Node& node) const {
  node = tree_.find(id);
  return node == nullptr ? fuse::kEnoent : 0;
}

int FuseServer::writable_node_of(std::uint64_t id, Node& node) const {
  if (id == fuse::kRootId) return fuse::kErofs;
  if (const int failed = node_of(id, node); failed != 0) return failed;
  return node->read_only ? fuse::kErofs : 0;
}

int FuseServer::find_in(const TreeNode& parent, const std::string& name, bool may_wait, Node& node,
                        platform::FileStatus& status) {
  platform::FileNode file;
  const int failed = may_wait ? parent.file->look_up(name, parent.cross_mounts, file)
                              : parent.file->look_up_at_once(name, file);
  return failed != 0 ? failed : tree_.adopt(parent, std::move(file), node, status);
}

int FuseServer::look_up(Request& request) {
  const std::string name = request.arguments.text();
  if (!request.arguments.ok()) return fuse::kEinval;
  if (const int failed = check_name(name); failed != 0) return failed;
  Node node;
  if (request.node != fuse::kRootId) {
    if (const int failed = node_of(request.node, node); failed != 0) return failed;
    const Node parent = std::move(node);
    const int failed = answer_entry(*parent, name, request);
    if (failed != fuse::kEnoent) return failed;
    // Id 0: there is nothing, which the guest may believe as long as a name.
    append_entry(0, platform::FileStatus(), request);
    return 0;
  }
  if (!request.may_wait) return fuse::kEagain;  // the host's file system may be any
  std::size_t index = 0;
  const auto [end, wrong] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (wrong != std::errc() || end != name.data() + name.size()) return fuse::kEnoent;
  platform::FileStatus status;
  if (const int failed = tree_.look_up_share(index, node, status); failed != 0) return failed;
  append_entry(node->id, status, request);
  return 0;
}

int FuseServer::answer_entry(const TreeNode& parent, const std::string& name, Request& request) {
  Node node;
  platform::FileStatus status;
  if (const int failed = find_in(parent, name, request.may_wait, node, status); failed != 0) {
    return failed;
  }
  append_entry(node->id, status, request);
  return 0;
}

// struct fuse_entry_out
void FuseServer::append_entry(std::uint64_t id, const platform::FileStatus& status,
                              Request& request) const {
  request.answer.u64(id).u64(0).u64(0).u64(0).u32(kCacheNs).u32(kCacheNs);
  append_attributes(status, request);
}

// struct fuse_attr
void FuseServer::append_attributes(const platform::FileStatus& status, Request& request) const {
  request.answer.u64(tree_.inode_number(status.device, status.inode))
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
      .u32(0);
}

int FuseServer::make_link(Request& request) {
  const std::string name = request.arguments.text();
  const std::string target = request.arguments.text();
  if (!request.arguments.ok()) return fuse::kEinval;
  if (const int failed = check_name(name); failed != 0) return failed;
  Node parent;
  if (const int failed = writable_node_of(request.node, parent); failed != 0) return failed;
  {
    const platform::MakesFilesFor who(request.uid, request.gid, 0);
    const int failed = parent->file->make_symbolic_link(name, target);
    if (failed != 0) return failed;
  }
  return answer_entry(*parent, name, request);
}

int FuseServer::make_special(Request& request) {
  // struct fuse_mknod_in
  const std::uint32_t mode = request.arguments.u32();
  const std::uint32_t number = request.arguments.u32();
  const std::uint32_t umask = request.arguments.u32();
  request.arguments.skip(4);
  const std::string name = request.arguments.text();
  if (!request.arguments.ok()) return fuse::kEinval;
  if (const int failed = check_name(name); failed != 0) return failed;
  Node parent;
  if (const int failed = writable_node_of(request.node, parent); failed != 0) return failed;
  {
    const platform::MakesFilesFor who(request.uid, request.gid, umask);
    const int failed = parent->file->make_special(name, mode, major_of(number), minor_of(number));
    if (failed != 0) return failed;
  }
  return answer_entry(*parent, name, request);
}

int FuseServer::make_directory(Request& request) {
  // struct fuse_mkdir_in
  const std::uint32_t mode = request.arguments.u32();
  const std::uint32_t umask = request.arguments.u32();
  const std::string name = request.arguments.text();
  if (!request.arguments.ok()) return fuse::kEinval;
  if (const int failed = check_name(name); failed != 0) return failed;
  Node parent;
  if (const int failed = writable_node_of(request.node, parent); failed != 0) return failed;
  {
    const platform::MakesFilesFor who(request.uid, request.gid, umask);
    if (const int failed = parent->file->make_directory(name, mode); failed != 0) return failed;
  }
  return answer_entry(*parent, name, request);
}

int FuseServer::remove(Request& request, bool directory) {
  const std::string name = request.arguments.text();
  if (!request.arguments.ok()) return fuse::kEinval;
  if (const int failed = check_name(name); failed != 0) return failed;
  Node parent;
  if (const int failed = writable_node_of(request.node, parent); failed != 0) return failed;
  return directory ? parent->file->remove_directory(name) : parent->file->remove(name);
}

int FuseServer::rename(Request& request, bool with_flags) {
  // struct fuse_rename_in, struct fuse_rename2_in
  const std::uint64_t to_id = request.arguments.u64();
  std::uint32_t flags = 0;
  if (with_flags) {
    flags = request.arguments.u32();
    request.arguments.skip(4);
  }
  const std::string name = request.arguments.text();
  const std::string to_name = request.arguments.text();
  if (!request.arguments.ok()) return fuse::kEinval;
  if (const int failed = check_name(name); failed != 0) return failed;
  if (const int failed = check_name(to_name); failed != 0) return failed;
  Node from;
  Node to;
  if (const int failed = writable_node_of(request.node, from); failed != 0) return failed;
  if (const int failed = writable_node_of(to_id, to); failed != 0) return failed;
  if (from->share != to->share) return fuse::kExdev;
  const platform::MakesFilesFor who(request.uid, request.gid, 0);  // RENAME_WHITEOUT makes one
  return from->file->rename(name, *to->file, to_name, flags);
}

int FuseServer::link(Request& request) {
  const std::uint64_t file_id = request.arguments.u64();  // struct fuse_link_in
  const std::string name = request.arguments.text();
  if (!request.arguments.ok()) return fuse::kEinval;
  if (const int failed = check_name(name); failed != 0) return failed;
  Node parent;
  Node file;
  if (const int failed = writable_node_of(request.node, parent); failed != 0) return failed;
  if (const int failed = node_of(file_id, file); failed != 0) return failed;
  // Else what may only be read would be written by its other name.
  if (file->share != parent->share) return fuse::kExdev;
  if (const int failed = parent->file->link(name, *file->file); failed != 0) return failed;
  return answer_entry(*parent, name, request);
}

int FuseServer::read_link(Request& request) {
  Node node;
  if (const int failed = node_of(request.node, node); failed != 0) return failed;
  std::string target;
  if (const int failed = node->file->read_symbolic_link(target); failed != 0) return failed;
  request.answer.bytes(as_bytes(target));
  return 0;
}

// --- attributes ----------------------------------------------------------------------------------

int FuseServer::status_of(std::uint64_t id, platform::FileStatus& status) const {
  if (id == fuse::kRootId) {
    status.inode = kTopInode;
    status.block_size = kPageBytes;
    status.mode = fuse::kTypeDirectory | 0111;
    status.links = 2;
    return 0;
  }
  Node node;
  const int failed = node_of(id, node);
  return failed != 0 ? failed : node->file->status(status);
}

// struct fuse_attr_out
int FuseServer::answer_attributes(const platform::FileStatus& status, Request& request) const {
  request.answer.u64(0).u32(kCacheNs).u32(0);
  append_attributes(status, request);
  return 0;
}

int FuseServer::get_attributes(Request& request) {
  platform::FileStatus status;
  const int failed = status_of(request.node, status);
  return failed != 0 ? failed : answer_attributes(status, request);
}

int FuseServer::extended_status(Request& request) {
  platform::FileStatus status;
  if (const int failed = status_of(request.node, status); failed != 0) return failed;
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
      .u64(tree_.inode_number(status.device, status.inode))
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

int FuseServer::set_attributes(Request& request) {
  // struct fuse_setattr_in
  const std::uint32_t what = request.arguments.u32();
  request.arguments.skip(4);
  const std::uint64_t handle_number = request.arguments.u64();
  Node node;
  if (const int failed = writable_node_of(request.node, node); failed != 0) return failed;
  std::shared_ptr<TreeHandle> handle;
  if ((what & fuse::kSetByHandle) != 0) {
    handle = tree_.find_handle(handle_number);
    if (handle == nullptr || handle->node != node) return fuse::kEbadf;
  }
  if (const int failed = change(*node->file, handle.get(), what, request.arguments); failed != 0) {
    return failed;
  }
  platform::FileStatus status;
  if (const int failed = node->file->status(status); failed != 0) return failed;
  return answer_attributes(status, request);
}

int FuseServer::set_attribute(Request& request) {
  // struct fuse_setxattr_in
  const std::uint32_t size = request.arguments.u32();
  const std::uint32_t flags = request.arguments.u32();
  std::uint32_t more_flags = 0;
  if ((features_.load() & fuse::kSetxattrExt) != 0) {
    more_flags = request.arguments.u32();
    request.arguments.skip(4);
  }
  const std::string name = request.arguments.text();
  const std::span<const std::byte> value = request.arguments.bytes(size);
  if (!request.arguments.ok()) return fuse::kEinval;
  Node node;
  if (const int failed = writable_node_of(request.node, node); failed != 0) return failed;
  if (!may_have_attribute(name)) return fuse::kEopnotsupp;
  if (const int failed = node->file->set_attribute(name, value, flags); failed != 0) return failed;
  if ((more_flags & fuse::kSetxattrKillSetgid) == 0) return 0;
  platform::FileStatus status;
  if (const int failed = node->file->status(status); failed != 0) return failed;
  if ((status.mode & fuse::kSetGroupId) == 0) return 0;
  return node->file->change_mode(status.mode & ~fuse::kSetGroupId);
}

int FuseServer::get_attribute(Request& request) {
  // struct fuse_getxattr_in
  const std::uint32_t size = request.arguments.u32();
  request.arguments.skip(4);
  const std::string name = request.arguments.text();
  if (!request.arguments.ok()) return fuse::kEinval;
  Node node;
  if (const int failed = node_of(request.node, node); failed != 0) return failed;
  if (!may_have_attribute(name)) return fuse::kEopnotsupp;
  std::vector<std::byte> value(std::min<std::size_t>(size, kMaxArgumentBytes));
  std::size_t found = 0;
  int failed = node->file->get_attribute(name, value, found);
  // To Linux's permission check only this means that there is no list.
  if (failed == fuse::kEopnotsupp && is_acl(name)) failed = fuse::kEnodata;
  if (failed != 0) return failed;
  if (size == 0) {
    request.answer.u32(static_cast<std::uint32_t>(found)).u32(0);  // struct fuse_getxattr_out
  } else {
    request.answer.bytes(std::span(value).first(found));
  }
  return 0;
}

int FuseServer::list_attributes(Request& request) {
  // struct fuse_getxattr_in
  const std::uint32_t size = request.arguments.u32();
  if (!request.arguments.ok()) return fuse::kEinval;
  Node node;
  if (const int failed = node_of(request.node, node); failed != 0) return failed;
  std::vector<std::string> names;
  if (const int failed = node->file->list_attributes(names); failed != 0) return failed;
  FuseAnswer list;
  for (const std::string& name : names) {
    if (may_have_attribute(name)) list.bytes(as_bytes(name)).zeros(1);
  }
  if (size == 0) {
    request.answer.u32(static_cast<std::uint32_t>(list.size())).u32(0);
  } else if (list.size() > size) {
    return fuse::kErange;
  } else {
    request.answer.bytes(list.written());
  }
  return 0;
}

int FuseServer::remove_attribute(Request& request) {
  const std::string name = request.arguments.text();
  if (!request.arguments.ok()) return fuse::kEinval;
  Node node;
  if (const int failed = writable_node_of(request.node, node); failed != 0) return failed;
  return may_have_attribute(name) ? node->file->remove_attribute(name) : fuse::kEopnotsupp;
}

int FuseServer::file_system(Request& request) {
  platform::FileSystemStatus status{
      .block_size = kPageBytes, .fragment_size = kPageBytes, .name_bytes = kMaxNameBytes};
  if (request.node != fuse::kRootId) {
    Node node;
    if (const int failed = node_of(request.node, node); failed != 0) return failed;
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

// --- files ---------------------------------------------------------------------------------------

int FuseServer::answer_open(const Node& node, platform::OpenFile file, platform::FileAccess access,
                            Request& request) {
  const bool flush_may_tell = access != platform::FileAccess::kRead && file.flush_may_tell();
  auto handle = std::make_shared<TreeHandle>();
  handle->node = node;
  handle->file = std::move(file);
  handle->writable = access != platform::FileAccess::kRead;
  std::uint64_t number = 0;
  if (const int failed = tree_.add_handle(std::move(handle), number); failed != 0) return failed;
  // Content stays until a look at the attributes shows that it has changed.
  std::uint32_t flags = fuse::kOpenKeepCache;
  if (!flush_may_tell) flags |= fuse::kOpenNoFlush;
  request.answer.u64(number).u32(flags).u32(0);  // struct fuse_open_out
  return 0;
}

int FuseServer::open(Request& request) {
  // struct fuse_open_in
  const std::uint32_t flags = request.arguments.u32();
  const std::uint32_t more_flags = request.arguments.u32();
  if (!request.arguments.ok()) return fuse::kEinval;
  const platform::FileAccess access = access_of(flags);
  const bool truncate = (flags & fuse::kOpenTruncate) != 0;
  Node node;
  const int known = access == platform::FileAccess::kRead && !truncate
                        ? node_of(request.node, node)
                        : writable_node_of(request.node, node);
  if (known != 0) return known;
  platform::OpenFile file;
  const bool kill = truncate && (more_flags & fuse::kOpenKillSetid) != 0;
  const int failed = call_killing_setid(kill, *node->file,
                                        [&] { return node->file->open(access, truncate, file); });
  return failed != 0 ? failed : answer_open(node, std::move(file), access, request);
}

int FuseServer::create(Request& request) {
  // struct fuse_create_in
  const std::uint32_t flags = request.arguments.u32();
  const std::uint32_t mode = request.arguments.u32();
  const std::uint32_t umask = request.arguments.u32();
  const std::uint32_t more_flags = request.arguments.u32();
  const std::string name = request.arguments.text();
  if (!request.arguments.ok()) return fuse::kEinval;
  if (const int failed = check_name(name); failed != 0) return failed;
  Node parent;
  if (const int failed = writable_node_of(request.node, parent); failed != 0) return failed;
  const platform::FileAccess access = access_of(flags);
  platform::OpenFile file;
  platform::FileNode made;
  int failed = 0;
  {
    const platform::MakesFilesFor who(request.uid, request.gid, umask);
    failed = parent->file->create(name, mode & 07777, access, file, made);
  }
  // The host has made one since the guest looked.
  const bool exists = failed == fuse::kEexist && (flags & fuse::kOpenExclusive) == 0;
  if (exists) failed = parent->file->look_up(name, parent->cross_mounts, made);
  if (failed != 0) return failed;
  Node node;
  platform::FileStatus status;
  failed = tree_.adopt(*parent, std::move(made), node, status);
  if (failed != 0) return failed;
  if (exists) {
    const bool truncate = (flags & fuse::kOpenTruncate) != 0;
    const bool kill = truncate && (more_flags & fuse::kOpenKillSetid) != 0;
    failed = call_killing_setid(kill, *node->file,
                                [&] { return node->file->open(access, truncate, file); });
    if (failed == 0) failed = node->file->status(status);
  }
  append_entry(node->id, status, request);
  if (failed == 0) failed = answer_open(node, std::move(file), access, request);
  if (failed != 0) tree_.forget(node->id, 1);
  return failed;
}

int FuseServer::create_unnamed(Request& request) {
  // struct fuse_create_in; the name means nothing
  request.arguments.skip(4);
  const std::uint32_t mode = request.arguments.u32();
  const std::uint32_t umask = request.arguments.u32();
  if (!request.arguments.ok()) return fuse::kEinval;
  Node parent;
  if (const int failed = writable_node_of(request.node, parent); failed != 0) return failed;
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
  failed = tree_.adopt(*parent, std::move(made), node, status);
  if (failed != 0) return failed;
  append_entry(node->id, status, request);
  failed = answer_open(node, std::move(file), platform::FileAccess::kReadWrite, request);
  if (failed != 0) tree_.forget(node->id, 1);
  return failed;
}

int FuseServer::read(Request& request) {
  // struct fuse_read_in
  const auto handle = tree_.find_handle(request.arguments.u64());
  const std::uint64_t offset = request.arguments.u64();
  const std::size_t size = request.arguments.u32();
  if (!request.arguments.ok()) return fuse::kEinval;
  if (handle == nullptr) return fuse::kEbadf;
  const auto parts = parts_of(request.room, std::min(size, kMaxTransferBytes));
  return request.may_wait ? handle->file.read_at(offset, parts, request.in_place)
                          : handle->file.read_at_once(offset, parts, request.in_place);
}

int FuseServer::write(Request& request) {
  // struct fuse_write_in
  const auto handle = tree_.find_handle(request.arguments.u64());
  const std::uint64_t offset = request.arguments.u64();
  const std::size_t size = request.arguments.u32();
  const std::uint32_t how = request.arguments.u32();
  request.arguments.skip(8);
  const std::uint32_t flags = request.arguments.u32();
  if (!request.arguments.ok() || size != request.content.remaining() || size > kMaxTransferBytes) {
    return fuse::kEinval;
  }
  if (handle == nullptr) return fuse::kEbadf;
  // What a program appends goes to the end that the host knows; a page of the guest's cache has its
  // place.
  const bool append = (flags & fuse::kOpenAppend) != 0 && (how & fuse::kWriteFromCache) == 0;
  const auto parts = parts_of(request.content, size);
  std::size_t done = 0;
  const int failed =
      call_killing_setid((how & fuse::kWriteKillSetid) != 0, *handle->node->file,
                         [&] { return handle->file.write_at(offset, parts, append, done); });
  if (failed != 0) return failed;
  request.answer.u32(static_cast<std::uint32_t>(done)).u32(0);  // struct fuse_write_out
  return 0;
}

int FuseServer::release(Request& request) {
  const std::uint64_t number = request.arguments.u64();  // struct fuse_release_in
  return tree_.remove_handle(number) ? 0 : fuse::kEbadf;
}

int FuseServer::sync(Request& request) {
  // struct fuse_fsync_in
  const auto handle = tree_.find_handle(request.arguments.u64());
  const std::uint32_t flags = request.arguments.u32();
  if (!request.arguments.ok()) return fuse::kEinval;
  if (handle == nullptr) return fuse::kEbadf;
  return handle->file.sync((flags & fuse::kFsyncDataOnly) != 0);
}

int FuseServer::sync_file_systems() {
  for (const auto& top : tree_.writable_tops()) {
    platform::OpenFile file;
    int failed = top->open_directory(file);
    if (failed == fuse::kEnotdir) failed = top->open(platform::FileAccess::kRead, false, file);
    if (failed == 0) failed = file.sync_file_system();
    if (failed != 0) return failed;
  }
  return 0;
}

int FuseServer::flush(Request& request) {
  const auto handle = tree_.find_handle(request.arguments.u64());  // struct fuse_flush_in
  return handle == nullptr ? fuse::kEbadf : handle->file.flush();
}

int FuseServer::allocate(Request& request) {
  // struct fuse_fallocate_in
  const auto handle = tree_.find_handle(request.arguments.u64());
  const std::uint64_t offset = request.arguments.u64();
  const std::uint64_t size = request.arguments.u64();
  const std::uint32_t mode = request.arguments.u32();
  if (!request.arguments.ok()) return fuse::kEinval;
  return handle == nullptr ? fuse::kEbadf : handle->file.allocate(mode, offset, size);
}

int FuseServer::find_data(Request& request) {
  // struct fuse_lseek_in
  const auto handle = tree_.find_handle(request.arguments.u64());
  const std::uint64_t offset = request.arguments.u64();
  const std::uint32_t whence = request.arguments.u32();
  if (!request.arguments.ok()) return fuse::kEinval;
  if (handle == nullptr) return fuse::kEbadf;
  std::uint64_t found = 0;
  if (const int failed = handle->file.find_data(offset, whence, found); failed != 0) return failed;
  request.answer.u64(found);
  return 0;
}

int FuseServer::copy_range(Request& request) {
  // struct fuse_copy_file_range_in
  const auto from = tree_.find_handle(request.arguments.u64());
  const std::uint64_t offset = request.arguments.u64();
  request.arguments.skip(8);
  const auto to = tree_.find_handle(request.arguments.u64());
  const std::uint64_t to_offset = request.arguments.u64();
  const std::uint64_t size = request.arguments.u64();
  const std::uint64_t flags = request.arguments.u64();
  if (!request.arguments.ok() || flags != 0) return fuse::kEinval;
  if (from == nullptr || to == nullptr) return fuse::kEbadf;
  std::size_t done = 0;
  const int failed = from->file.copy_range(offset, to->file, to_offset,
                                           std::min<std::uint64_t>(size, kMaxCopyBytes), done);
  if (failed != 0) return failed;
  request.answer.u32(static_cast<std::uint32_t>(done)).u32(0);
  return 0;
}

// --- directories ---------------------------------------------------------------------------------

int FuseServer::open_directory(Request& request) {
  Node node;
  if (const int failed = node_of(request.node, node); failed != 0) return failed;
  platform::OpenFile file;
  if (const int failed = node->file->open_directory(file); failed != 0) return failed;
  return answer_open(node, std::move(file), platform::FileAccess::kRead, request);
}

int FuseServer::read_directory(Request& request, bool with_attributes) {
  // struct fuse_read_in
  const auto handle = tree_.find_handle(request.arguments.u64());
  std::uint64_t offset = request.arguments.u64();
  const std::size_t asked = request.arguments.u32();
  if (!request.arguments.ok()) return fuse::kEinval;
  if (handle == nullptr) return fuse::kEbadf;
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
        (with_attributes ? fuse::kEntryBytes : 0) + kDirentBytes + entry.name.size() + padding;
    if (request.answer.size() + size > room) break;
    const bool is_link_up = entry.name == "..";
    if (with_attributes) {
      Node node;
      platform::FileStatus status;
      if (entry.name != "." && !is_link_up &&
          find_in(parent, std::string(entry.name), true, node, status) == 0) {
        append_entry(node->id, status, request);
      } else {
        request.answer.zeros(fuse::kEntryBytes);  // the guest looks it up when it wants to know
      }
    }
    // What lies above a share is not the guest's to know.
    request.answer.u64(tree_.inode_number(own.device, is_link_up ? own.inode : entry.inode))
        .u64(entry.next)
        .u32(static_cast<std::uint32_t>(entry.name.size()))
        .u32(entry.type)
        .bytes(as_bytes(entry.name))
        .zeros(padding);
  }
  return 0;
}

}  // namespace runhv::devices
