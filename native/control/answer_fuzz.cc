// A client reads a VMM: frames, then answers, errors and events.
#include "base/check.h"
#include "control/answer.h"
#include "testing/fuzz.h"

void runhv::testing::fuzz(std::span<const std::byte> input) {
  control::FrameReader reader(RUNHV_CONTROL_MAX_ANSWER);
  reader.append(input);
  while (true) {
    const auto frame = reader.next();
    if (!frame || !*frame) return;
    const auto answer = control::parse_answer(**frame);
    if (!answer) continue;
    if (const auto* event = std::get_if<control::Event>(&*answer)) {
      (void)to_string(api::from_abi(event->value.error));
    }
    if (const auto* refusal = std::get_if<control::Refusal>(&*answer)) {
      RUNHV_CHECK(!to_string(refusal->error).empty());
    }
  }
}
