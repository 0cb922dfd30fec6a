// The guest's half of FUSE: requests as bytes, answers as bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "devices/fs/fuse_message.h"
#include "devices/fs/fuse_protocol.h"

namespace runhv::testing {

// The arguments of a request, written as an answer is: in order.
class FuseBody : public devices::FuseAnswer {
 public:
  FuseBody& u32(std::uint32_t value) {
    devices::FuseAnswer::u32(value);
    return *this;
  }
  FuseBody& u64(std::uint64_t value) {
    devices::FuseAnswer::u64(value);
    return *this;
  }
  FuseBody& zeros(std::size_t count) {
    devices::FuseAnswer::zeros(count);
    return *this;
  }
  FuseBody& bytes(std::string_view value) {
    devices::FuseAnswer::bytes(as_bytes(value));
    return *this;
  }
  FuseBody& name(std::string_view value) { return bytes(value).zeros(1); }
};

struct FuseCaller {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

// struct fuse_in_header and the arguments.
inline std::vector<std::byte> fuse_request(devices::fuse::Opcode opcode, std::uint64_t node,
                                           std::span<const std::byte> body, FuseCaller caller = {},
                                           std::uint64_t unique = 77) {
  devices::FuseAnswer out;
  out.u32(static_cast<std::uint32_t>(devices::fuse::kInHeaderBytes + body.size()))
      .u32(static_cast<std::uint32_t>(opcode))
      .u64(unique)
      .u64(node)
      .u32(caller.uid)
      .u32(caller.gid)
      .u32(1)
      .u32(0)
      .bytes(body);
  return {out.written().begin(), out.written().end()};
}

inline FuseBody fuse_init_body(std::uint64_t features = ~std::uint64_t{0}) {
  FuseBody body;
  body.u32(devices::fuse::kMajor)
      .u32(devices::fuse::kMinor)
      .u32(128 << 10)
      .u32(static_cast<std::uint32_t>(features))
      .u32(static_cast<std::uint32_t>(features >> 32))
      .zeros(44);
  return body;
}

}  // namespace runhv::testing
