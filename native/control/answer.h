// What a VMM says to a client: a frame, checked.
#pragma once

#include <variant>
#include <vector>

#include "control/frame.h"

namespace runhv::control {

struct Answer {
  std::uint32_t type;  // of the request
  std::uint32_t request;
  std::vector<std::byte> payload;
};
struct Refusal {
  std::uint32_t request;
  Error error;
};
struct Event {
  runhv_event value;
};

// kCorruptInput for a frame that no VMM of this version sends.
Result<std::variant<Answer, Refusal, Event>> parse_answer(const Frame& frame);

}  // namespace runhv::control
