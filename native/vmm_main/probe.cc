#include "vmm_main/probe.h"

#include <cstdio>
#include <string>

#include "base/result.h"
#include "container/json_writer.h"
#include "machine/engine_probe.h"
#include "platform/complain.h"
#include "vmm_main/distribution_files.h"

namespace runhv::vmm_main {
namespace {

void print_line(const container::JsonWriter& json) {
  std::printf("%s\n", json.text().c_str());
  // What comes next may be the end of this process.
  std::fflush(stdout);
}

Result<void> probe_this(std::string_view engine) {
  RUNHV_TRY_ASSIGN(const std::string share, share_directory());
  return machine::probe_engine({.engine = std::string(engine),
                                .kernel_path = default_kernel(share),
                                .initrd_paths = {default_initrd(share)}},
                               [](const char* stage, std::uint64_t ns) {
                                 container::JsonWriter json;
                                 json.object([&] {
                                   json.member("stage", stage);
                                   json.member("ns", ns);
                                 });
                                 print_line(json);
                               });
}

}  // namespace

int probe(std::span<const std::string_view> arguments) {
  if (arguments.size() != 1) return platform::complain("--probe: expected the name of an engine");
  const auto probed = probe_this(arguments.front());
  if (probed) return 0;
  const Error& error = probed.error();
  container::JsonWriter json;
  json.object([&] {
    json.member("code", static_cast<int>(error.code));
    json.member("operation", error.operation);
    json.member("detail", error.detail);
    json.member("domain", static_cast<int>(error.domain));
    json.member("os_code", error.os_code);
  });
  print_line(json);
  return platform::kOurFailure;
}

}  // namespace runhv::vmm_main
