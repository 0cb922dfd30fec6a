// config.json: refused with a reason, or within its ranges and sendable to the agent.

#include <string_view>

#include "base/check.h"
#include "container/oci_config.h"
#include "container/start_message.h"
#include "testing/fuzz.h"

namespace runhv {

void fuzz(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto config = parse_oci_config(text, "read config");
  if (!config) {
    RUNHV_CHECK(!config.error().detail.empty());
    return;
  }
  RUNHV_CHECK(!config->arguments.empty());
  RUNHV_CHECK(config->cwd.front() == '/');
  RUNHV_CHECK(config->memory_bytes >= 24u << 20);
  RUNHV_CHECK(config->processor_count >= 1 && config->processor_count <= 64);
  RUNHV_CHECK(encode_start(*config, {}));
}

}  // namespace runhv
