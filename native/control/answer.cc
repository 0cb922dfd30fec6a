#include "control/answer.h"

namespace runhv::control {

Result<std::variant<Answer, Refusal, Event>> parse_answer(const Frame& frame) {
  using Parsed = std::variant<Answer, Refusal, Event>;
  std::span<const std::byte> payload(frame.payload);
  const std::uint32_t type = frame.header.type;
  if (frame.header.handles != 0) {
    return Fail{Error{Code::kCorruptInput, "read a control frame", "descriptors from a VMM"}};
  }
  if (type == RUNHV_CONTROL_EVENT) {
    RUNHV_TRY_ASSIGN(const auto event, take_structure<runhv_event>(payload));
    return Parsed(Event{event});
  }
  if (type == RUNHV_CONTROL_ERROR) {
    RUNHV_TRY_ASSIGN(const auto error, take_structure<runhv_error>(payload));
    return Parsed(Refusal{frame.header.request, api::from_abi(error)});
  }
  if ((type & RUNHV_CONTROL_ANSWER) == 0) {
    return Fail{Error{Code::kCorruptInput, "read a control frame",
                      "type " + std::to_string(type) + " is no answer and no event"}};
  }
  return Parsed(
      Answer{type & ~std::uint32_t{RUNHV_CONTROL_ANSWER}, frame.header.request, frame.payload});
}

}  // namespace runhv::control
