// The agent's frames mean the same, however the connection cuts them.

#include <algorithm>
#include <variant>
#include <vector>

#include "base/check.h"
#include "container/agent_message.h"
#include "testing/fuzz.h"

void runhv::testing::fuzz(std::span<const std::byte> bytes) {
  testing::FuzzInput input(bytes);
  const auto cuts = input.take_bytes(8);
  const auto stream = input.take_bytes(SIZE_MAX);

  container::AgentMessageParser whole;
  std::vector<container::AgentMessage> at_once;
  const auto accepted = whole.push(stream, at_once);
  if (!accepted) RUNHV_CHECK(!accepted.error().detail.empty());

  container::AgentMessageParser cut;
  std::vector<container::AgentMessage> in_parts;
  bool part_accepted = true;
  std::size_t turn = 0;
  for (std::size_t at = 0; at < stream.size() && part_accepted; ++turn) {
    const auto wanted =
        cuts.empty() ? 1 : std::to_integer<std::size_t>(cuts[turn % cuts.size()]) + 1;
    const std::size_t size = std::min(wanted, stream.size() - at);
    part_accepted = cut.push(stream.subspan(at, size), in_parts).has_value();
    at += size;
  }
  RUNHV_CHECK(part_accepted == accepted.has_value());
  RUNHV_CHECK(in_parts.size() == at_once.size());
  for (std::size_t i = 0; i < at_once.size(); ++i) {
    RUNHV_CHECK(at_once[i].index() == in_parts[i].index());
    if (const auto* failed = std::get_if<container::AgentFailed>(&at_once[i])) {
      // Each byte of the text may have become \xNN.
      RUNHV_CHECK(failed->text.size() <= 4 * 1024);
      RUNHV_CHECK(failed->exit_status >= 125 && failed->exit_status <= 127);
    }
  }
}
