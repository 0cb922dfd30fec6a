#include "vmm_main/probe.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cstdio>
#include <string>

#include "base/result.h"
#include "machine/engine_probe.h"
#include "platform/complain.h"
#include "vmm_main/distribution_files.h"

namespace runhv::vmm_main {
namespace {

using Json = rapidjson::Writer<rapidjson::StringBuffer>;

template <class Members>
void write_line(Members members) {
  rapidjson::StringBuffer buffer;
  Json json(buffer);
  json.StartObject();
  members(json);
  json.EndObject();
  std::printf("%s\n", buffer.GetString());
  // What comes next may be the end of this process.
  std::fflush(stdout);
}

Result<void> probe_this(std::string_view engine) {
  RUNHV_TRY_ASSIGN(const std::string share, share_directory());
  return machine::probe_engine({.engine = std::string(engine),
                                .kernel_path = default_kernel(share),
                                .initrd_paths = {default_initrd(share)}},
                               [](const char* stage, std::uint64_t ns) {
                                 write_line([&](Json& json) {
                                   json.Key("stage");
                                   json.String(stage);
                                   json.Key("ns");
                                   json.Uint64(ns);
                                 });
                               });
}

}  // namespace

int probe(std::span<const std::string_view> arguments) {
  if (arguments.size() != 1) return platform::complain("--probe: expected the name of an engine");
  const auto probed = probe_this(arguments.front());
  if (probed) return 0;
  const Error& error = probed.error();
  write_line([&](Json& json) {
    json.Key("code");
    json.Int(static_cast<int>(error.code));
    json.Key("operation");
    json.String(error.operation.c_str());
    json.Key("detail");
    json.String(error.detail.c_str());
    json.Key("domain");
    json.Int(static_cast<int>(error.domain));
    json.Key("os_code");
    json.Int64(error.os_code);
  });
  return platform::kOurFailure;
}

}  // namespace runhv::vmm_main
