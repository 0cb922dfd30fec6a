// One request of FUSE on its way through the server: what is asked, and the answer as it grows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "devices/fs/fuse_message.h"
#include "devices/fs/fuse_protocol.h"
#include "devices/virtio/segment_cursor.h"

namespace runhv::devices::fuse {

// Of one request. The value of an attribute is the largest argument.
inline constexpr std::size_t kMaxArgumentBytes = (64u << 10) + 512;
inline constexpr std::size_t kMaxTransferBytes = 1u << 20;
inline constexpr std::uint64_t kMaxFileBytes = INT64_MAX;
inline constexpr std::size_t kMaxNameBytes = 255;
inline constexpr std::size_t kMaxDirectoryBytes = 64u << 10;
inline constexpr std::size_t kMaxCopyBytes = 64u << 20;

struct Request {
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
  bool may_wait = true;      // else EAGAIN is what cannot be told at once
  bool wants_answer = true;
};

}  // namespace runhv::devices::fuse
