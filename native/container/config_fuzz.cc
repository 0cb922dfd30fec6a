// config.json: refused with a reason, or within its ranges and sendable to the agent.

#include <string_view>

#include "base/check.h"
#include "container/agent_request.h"
#include "container/bundle.h"
#include "testing/fuzz.h"

namespace runhv::container {

namespace {

void check(const ProcessSpec& process) {
  RUNHV_CHECK(!process.arguments.empty());
  RUNHV_CHECK(process.cwd.front() == '/');
  if (process.capabilities) {
    const runhv_caps& caps = *process.capabilities;
    RUNHV_CHECK((caps.ambient & ~(caps.permitted & caps.inheritable)) == 0);
  }
  RUNHV_CHECK(encode_process(1, process, {}));
}

}  // namespace
}  // namespace runhv::container

void runhv::testing::fuzz(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (const auto process = container::parse_process(text, "read process")) {
    container::check(*process);
  } else {
    RUNHV_CHECK(!process.error().detail.empty());
  }
  const auto bundle = container::parse_bundle(text, "read config");
  if (!bundle) {
    RUNHV_CHECK(!bundle.error().detail.empty());
    return;
  }
  container::check(bundle->process);
  RUNHV_CHECK(bundle->vm.memory_bytes >= 24u << 20);
  RUNHV_CHECK(bundle->vm.processor_count >= 1 && bundle->vm.processor_count <= 64);
  RUNHV_CHECK(bundle->stop_signal >= 1 && bundle->stop_signal <= 64);
  RUNHV_CHECK(container::encode_container(bundle->container));
}
