#include "devices/fs/fuse_server.h"

#include <algorithm>
#include <array>
#include <vector>

#include "devices/fs/fuse_operations.h"

namespace runhv::devices {

using fuse::Opcode;

namespace {

int dispatch(fuse::Session& session, fuse::Request& request) {
  switch (request.opcode) {
    case Opcode::kInit:
      return fuse::init(session, request);
    case Opcode::kDestroy:
      return fuse::destroy(session);
    case Opcode::kLookup:
      return fuse::lookup(session, request);
    case Opcode::kForget:
      return fuse::forget(session, request);
    case Opcode::kBatchForget:
      return fuse::batch_forget(session, request);
    case Opcode::kInterrupt:
      // No request here waits for what a signal could end.
      request.wants_answer = false;
      return 0;
    case Opcode::kGetattr:
      return fuse::getattr(session, request);
    case Opcode::kSetattr:
      return fuse::setattr(session, request);
    case Opcode::kStatx:
      return fuse::statx(session, request);
    case Opcode::kReadlink:
      return fuse::readlink(session, request);
    case Opcode::kSymlink:
      return fuse::symlink(session, request);
    case Opcode::kMknod:
      return fuse::mknod(session, request);
    case Opcode::kMkdir:
      return fuse::mkdir(session, request);
    case Opcode::kUnlink:
      return fuse::unlink(session, request);
    case Opcode::kRmdir:
      return fuse::rmdir(session, request);
    case Opcode::kRename:
      return fuse::rename(session, request);
    case Opcode::kRename2:
      return fuse::rename2(session, request);
    case Opcode::kLink:
      return fuse::link(session, request);
    case Opcode::kOpen:
      return fuse::open(session, request);
    case Opcode::kCreate:
      return fuse::create(session, request);
    case Opcode::kTmpfile:
      return fuse::tmpfile(session, request);
    case Opcode::kRead:
      return fuse::read(session, request);
    case Opcode::kWrite:
      return fuse::write(session, request);
    case Opcode::kStatfs:
      return fuse::statfs(session, request);
    case Opcode::kRelease:
    case Opcode::kReleasedir:
      return fuse::release(session, request);
    case Opcode::kFsync:
    case Opcode::kFsyncdir:
      return fuse::fsync(session, request);
    case Opcode::kSyncfs:
      return fuse::syncfs(session);
    case Opcode::kFlush:
      return fuse::flush(session, request);
    case Opcode::kOpendir:
      return fuse::opendir(session, request);
    case Opcode::kReaddir:
      return fuse::readdir(session, request);
    case Opcode::kReaddirplus:
      return fuse::readdirplus(session, request);
    case Opcode::kFallocate:
      return fuse::fallocate(session, request);
    case Opcode::kLseek:
      return fuse::lseek(session, request);
    case Opcode::kCopyFileRange:
      return fuse::copy_file_range(session, request);
    case Opcode::kSetupmapping:
      return fuse::setupmapping(session, request);
    case Opcode::kRemovemapping:
      return fuse::removemapping(session, request);
    case Opcode::kSetxattr:
      return fuse::setxattr(session, request);
    case Opcode::kGetxattr:
      return fuse::getxattr(session, request);
    case Opcode::kListxattr:
      return fuse::listxattr(session, request);
    case Opcode::kRemovexattr:
      return fuse::removexattr(session, request);
    case Opcode::kIoctl:
      return fuse::kEnotty;
  }
  return fuse::kEnosys;
}

// What is shown in the window is of file systems that wait for nobody.
bool may_be_told_at_once(Opcode opcode) {
  return opcode == Opcode::kRead || opcode == Opcode::kLookup || opcode == Opcode::kSetupmapping ||
         opcode == Opcode::kRemovemapping;
}

}  // namespace

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
  if (!may_wait && !may_be_told_at_once(opcode)) return std::nullopt;
  const std::uint64_t unique = fields.u64();
  const std::uint64_t node = fields.u64();
  const std::uint32_t uid = fields.u32();
  const std::uint32_t gid = fields.u32();

  constexpr std::size_t kWriteArgumentBytes = 40;  // struct fuse_write_in
  std::vector<std::byte> arguments(std::min(cursor.remaining(), opcode == Opcode::kWrite
                                                                    ? kWriteArgumentBytes
                                                                    : fuse::kMaxArgumentBytes));
  cursor.read(arguments);
  fuse::Request request{.opcode = opcode,
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
  } else if (!session_.has_begun() && opcode != Opcode::kInit) {
    failed = fuse::kEio;
  } else {
    if (session_.window() != nullptr) session_.window()->mend();
    failed = dispatch(session_, request);
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

}  // namespace runhv::devices
