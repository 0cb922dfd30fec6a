// rtnetlink(7) of the network namespace that the socket was made in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/result.h"
#include "platform/handle.h"
#include "platform/netlink_message.h"

namespace runhv::platform {

class Netlink {
 public:
  static Result<Netlink> open();
  // A socket that is readable when something of `groups` (RTMGRP_*) has happened.
  static Result<UniqueHandle> open_events(std::uint32_t groups);

  // Sends `message`, which asks for an acknowledgement, and waits for it. Errors carry `operation`
  // and the kernel's errno.
  Result<void> request(NetlinkMessage message, const std::string& operation);

  // Sends `message`, which asks for a dump, and hands over the body of each answer.
  using Answer = std::function<void(std::uint16_t type, std::span<const std::byte> body)>;
  Result<void> dump(NetlinkMessage message, const std::string& operation, const Answer& answer);

 private:
  explicit Netlink(UniqueHandle socket) : socket_(std::move(socket)) {}
  UniqueHandle socket_;
  std::uint32_t sequence_ = 0;
};

// Calls `each(type, value)` for every attribute in `bytes`, which are the kernel's.
void for_each_attribute(
    std::span<const std::byte> bytes,
    const std::function<void(std::uint16_t type, std::span<const std::byte> value)>& each);

}  // namespace runhv::platform
