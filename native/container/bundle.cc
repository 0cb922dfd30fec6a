#include "container/bundle.h"

#include <vector>

#include "container/annotations.h"
#include "container/container_reader.h"
#include "container/json_fields.h"
#include "container/linux_abi.h"
#include "container/process_reader.h"
#include "container/seccomp.h"
#include "container/vm_reader.h"
#include "platform/file.h"
#include "platform/path.h"

namespace runhv::container {
namespace {

std::string read_version(const JsonNode& node) {
  std::string version = node.required("a version such as 1.2.0").string();
  if (!version.starts_with("1.")) node.complain("expected version 1.x, not " + version);
  return version;
}

int read_stop_signal(const Annotations& annotations) {
  const auto annotation = annotations.find("stop-signal");
  if (!annotation) return linux_abi::kSigterm;
  const auto signal = linux_abi::find_signal(annotation->value);
  if (!signal) annotation->node.complain("expected a signal's name, or a number from 1 to 64");
  return signal.value_or(linux_abi::kSigterm);
}

}  // namespace

Result<Bundle> parse_bundle(std::string_view json, const std::string& operation, Joins joins) {
  RUNHV_TRY_ASSIGN(const auto reader, JsonReader::parse(json, operation));
  const JsonNode root = reader->root();
  const JsonNode process = root["process"];
  Bundle bundle;
  bundle.oci_version = read_version(root["ociVersion"]);
  process.required("an object");
  process["cwd"].required("an absolute path");
  read_process(process, bundle.process);
  if (const JsonNode filter = root["linux"]["seccomp"]; filter.present()) {
    bundle.process.seccomp = compile_seccomp(filter);
  }
  bundle.process.personality = read_personality(root["linux"]["personality"]);
  const Annotations annotations(root["annotations"]);
  read_container(root, annotations, joins, bundle.container);
  read_vm(root, annotations, bundle.vm);
  bundle.container.root_on_scratch_disk = bundle.vm.scratch_bytes != 0;
  bundle.connect_stdin = annotations.choice("stdin", {"true", "false"}, "true") == "true";
  bundle.stop_signal = read_stop_signal(annotations);
  bundle.annotations = annotations.values();
  if (reader->error()) return Fail{*reader->error()};
  return bundle;
}

Result<Bundle> read_bundle(const std::string& folder, Joins joins) {
  const std::string path = folder + "/config.json";
  RUNHV_TRY_ASSIGN(const std::vector<std::byte> text, platform::read_file(path, kMaxConfigBytes));
  RUNHV_TRY_ASSIGN(Bundle bundle,
                   parse_bundle({reinterpret_cast<const char*>(text.data()), text.size()},
                                "read " + path, joins));
  find_shares(folder, bundle);
  return bundle;
}

void find_shares(const std::string& folder, Bundle& bundle) {
  for (ShareSpec& share : bundle.container.shares) {
    if (!platform::is_absolute_path(share.path)) share.path = folder + "/" + share.path;
  }
}

}  // namespace runhv::container
