#include "container/agent_message.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/text.h"
#include "container/linux_abi.h"

namespace runhv::container {
namespace {

constexpr std::size_t kMaxTextBytes = 1024;

Fail<Error> broken(const std::string& detail) {
  return Fail{Error{Code::kGuestFailed, "listen to the agent", detail}};
}

Result<AgentMessage> decode_hello(std::span<const std::byte> payload) {
  if (payload.size() != sizeof(runhv_hello)) return broken("HELLO has a wrong length");
  if (load_le<std::uint32_t>(payload, offsetof(runhv_hello, magic)) != RUNHV_PROTO_MAGIC) {
    return broken("HELLO has a wrong magic number");
  }
  const auto version = load_le<std::uint16_t>(payload, offsetof(runhv_hello, version));
  if (version != RUNHV_PROTO_VERSION) {
    return broken("the agent speaks version " + std::to_string(version) + " of the protocol, not " +
                  std::to_string(RUNHV_PROTO_VERSION) + ": take the initrd of this runhv");
  }
  return AgentMessage{AgentHello{}};
}

std::uint32_t process_of(std::span<const std::byte> payload) {
  return load_le<std::uint32_t>(payload, 0);
}

// PREPARED and STARTED.
template <class Message>
Result<AgentMessage> decode_process_id(std::span<const std::byte> payload, const char* name) {
  if (payload.size() != sizeof(runhv_process_id)) {
    return broken(std::string(name) + " has a wrong length");
  }
  return AgentMessage{Message{process_of(payload)}};
}

std::string shown_text(std::span<const std::byte> text) {
  return escape_controls(std::string_view(reinterpret_cast<const char*>(text.data()),
                                          std::min(text.size(), kMaxTextBytes)));
}

Result<AgentMessage> decode_failed(std::span<const std::byte> payload) {
  if (payload.size() < sizeof(runhv_failed)) return broken("FAILED is too short");
  const auto status = load_le<std::uint32_t>(payload, offsetof(runhv_failed, exit_status));
  if (status < 125 || status > 127) {
    return broken("FAILED has the exit status " + std::to_string(status));
  }
  return AgentMessage{AgentFailed{
      process_of(payload), load_le<std::int32_t>(payload, offsetof(runhv_failed, guest_errno)),
      static_cast<int>(status), shown_text(payload.subspan(sizeof(runhv_failed)))}};
}

Result<AgentMessage> decode_exited(std::span<const std::byte> payload) {
  if (payload.size() != sizeof(runhv_exited)) return broken("EXITED has a wrong length");
  const auto signaled = load_le<std::uint32_t>(payload, offsetof(runhv_exited, signaled));
  const auto value = load_le<std::uint32_t>(payload, offsetof(runhv_exited, value));
  const bool in_range = signaled == 0   ? value <= 255
                        : signaled == 1 ? value >= 1 && value <= linux_abi::kMaxSignal
                                        : false;
  if (!in_range) return broken("EXITED has a status out of range");
  const auto oom_kills = load_le<std::uint32_t>(payload, offsetof(runhv_exited, oom_kills));
  if (value == 0 && oom_kills != 0) return broken("EXITED counts kills beside a status of 0");
  return AgentMessage{
      AgentExited{process_of(payload), signaled == 1, static_cast<int>(value), oom_kills}};
}

Result<AgentMessage> decode_out_of_memory(std::span<const std::byte> payload) {
  if (payload.size() != sizeof(runhv_out_of_memory)) {
    return broken("OUT_OF_MEMORY has a wrong length");
  }
  return AgentMessage{
      AgentOutOfMemory{load_le<std::uint32_t>(payload, offsetof(runhv_out_of_memory, kills))}};
}

Result<AgentMessage> decode_warning(std::span<const std::byte> payload) {
  if (payload.size() < sizeof(runhv_process_id)) return broken("WARNING is too short");
  return AgentMessage{
      AgentWarning{process_of(payload), shown_text(payload.subspan(sizeof(runhv_process_id)))}};
}

Result<AgentMessage> decode_resources_set(std::span<const std::byte> payload) {
  if (payload.size() < sizeof(runhv_resources_set)) return broken("RESOURCES_SET is too short");
  const std::span<const std::byte> text = payload.subspan(sizeof(runhv_resources_set));
  const auto guest_errno =
      load_le<std::int32_t>(payload, offsetof(runhv_resources_set, guest_errno));
  if (guest_errno == 0 && !text.empty()) return broken("RESOURCES_SET fails without an errno");
  return AgentMessage{AgentResourcesSet{guest_errno, shown_text(text)}};
}

Result<AgentMessage> decode(std::uint16_t type, std::span<const std::byte> payload) {
  switch (type) {
    case RUNHV_MSG_HELLO:
      return decode_hello(payload);
    case RUNHV_MSG_PREPARED:
      return decode_process_id<AgentPrepared>(payload, "PREPARED");
    case RUNHV_MSG_STARTED:
      return decode_process_id<AgentStarted>(payload, "STARTED");
    case RUNHV_MSG_FAILED:
      return decode_failed(payload);
    case RUNHV_MSG_EXITED:
      return decode_exited(payload);
    case RUNHV_MSG_OUT_OF_MEMORY:
      return decode_out_of_memory(payload);
    case RUNHV_MSG_WARNING:
      return decode_warning(payload);
    case RUNHV_MSG_RESOURCES_SET:
      return decode_resources_set(payload);
    default:
      return broken("a message of the unknown type " + std::to_string(type));
  }
}

}  // namespace

Result<void> AgentMessageParser::push(std::span<const std::byte> data,
                                      std::vector<AgentMessage>& messages) {
  while (true) {
    const std::size_t head = std::min(data.size(), header_.size() - header_bytes_);
    std::copy_n(data.begin(), head, header_.begin() + static_cast<std::ptrdiff_t>(header_bytes_));
    header_bytes_ += head;
    data = data.subspan(head);
    if (header_bytes_ < header_.size()) return {};

    const auto length = load_le<std::uint32_t>(header_, offsetof(runhv_frame, length));
    const auto type = load_le<std::uint16_t>(header_, offsetof(runhv_frame, type));
    if (length > RUNHV_MAX_FRAME_TO_HOST) {
      return broken("a frame of " + std::to_string(length) + " bytes");
    }
    if (load_le<std::uint16_t>(header_, offsetof(runhv_frame, zero)) != 0) {
      return broken("a frame whose reserved field is not zero");
    }
    const std::size_t body = std::min(data.size(), length - payload_.size());
    const auto part = data.first(body);
    payload_.insert(payload_.end(), part.begin(), part.end());
    data = data.subspan(body);
    if (payload_.size() < length) return {};

    RUNHV_TRY_ASSIGN(AgentMessage message, decode(type, payload_));
    messages.push_back(std::move(message));
    payload_.clear();
    header_bytes_ = 0;
    if (data.empty()) return {};
  }
}

}  // namespace runhv::container
