// A VMM reads a client: frames in pieces of any size, then the request in each.
#include <algorithm>

#include "base/check.h"
#include "container/container.h"
#include "control/request.h"
#include "testing/fuzz.h"

void runhv::testing::fuzz(std::span<const std::byte> input) {
  if (input.empty()) return;
  const std::size_t step = std::to_integer<std::size_t>(input[0]) + 1;
  control::FrameReader reader(RUNHV_CONTROL_MAX_PAYLOAD);
  for (std::size_t at = 1; at < input.size(); at += step) {
    reader.append(input.subspan(at, std::min(step, input.size() - at)));
    while (true) {
      const auto frame = reader.next();
      if (!frame) return;
      if (!*frame) break;
      const auto request = control::parse_request(**frame);
      if (!request) continue;
      if (const auto* start = std::get_if<control::ProcessStartRequest>(&*request)) {
        RUNHV_CHECK(start->text.size() <= RUNHV_MAX_PROCESS_JSON_BYTES);
        RUNHV_CHECK(start->descriptors <= (*frame)->header.handles);
      }
      if (const auto* join = std::get_if<control::JoinRequest>(&*request)) {
        RUNHV_CHECK(container::check_container_id(join->process.text));
        if (join->network) {
          RUNHV_CHECK(join->network->mtus.size() <= RUNHV_CONTROL_MAX_TAPS);
          for (const container::NetworkMessage& each : join->network->messages) {
            RUNHV_CHECK(each.interface < join->network->mtus.size());
            RUNHV_CHECK(each.index_offset + sizeof(std::uint32_t) <= each.message.size());
          }
        }
      }
      if (const auto* attach = std::get_if<control::AttachRequest>(&*request)) {
        RUNHV_CHECK(attach->stream >= 0 && attach->stream <= 2);
      }
    }
    RUNHV_CHECK(reader.pending_bytes() < sizeof(runhv_control_frame) + RUNHV_CONTROL_MAX_PAYLOAD);
  }
}
