// What the agent says on the control connection, checked. Its bytes come from the guest: hostile.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "runhv_agent.h"

namespace runhv::container {

struct AgentHello {};
struct AgentPrepared {
  std::uint32_t process;
};
struct AgentStarted {
  std::uint32_t process;
};
struct AgentFailed {
  std::uint32_t process;
  std::int32_t guest_errno;  // 0 = none
  int exit_status;           // 125, 126 or 127
  std::string text;          // control characters escaped
};
struct AgentExited {
  std::uint32_t process;
  bool signaled;
  int value;                // 0..255, or the signal 1..64
  std::uint32_t oom_kills;  // as the guest says
};
struct AgentOutOfMemory {
  std::uint32_t kills;  // as the guest says
};
struct AgentWarning {
  std::uint32_t process;
  std::string text;  // control characters escaped
};
struct AgentResourcesSet {
  std::int32_t guest_errno;  // 0 = done
  std::string text;          // else what was not; control characters escaped
};
// Process numbers are any: who knows the processes checks them.
using AgentMessage = std::variant<AgentHello, AgentPrepared, AgentStarted, AgentFailed, AgentExited,
                                  AgentOutOfMemory, AgentWarning, AgentResourcesSet>;

// Cuts the byte stream of the control connection into messages.
class AgentMessageParser {
 public:
  // Takes all of `data` and appends the messages that it completes. After an error the parser is of
  // no more use.
  Result<void> push(std::span<const std::byte> data, std::vector<AgentMessage>& messages);

 private:
  std::array<std::byte, sizeof(runhv_frame)> header_{};
  std::size_t header_bytes_ = 0;
  std::vector<std::byte> payload_;  // at most RUNHV_MAX_FRAME_TO_HOST
};

}  // namespace runhv::container
