#include "container/vm_shape.h"

#include <algorithm>
#include <cstdint>

#include "container/json_fields.h"
#include "container/vm_reader.h"
#include "machine/machine.h"
#include "platform/path.h"

namespace runhv::container {
namespace {

constexpr std::uint64_t kDefaultMemoryBytes = 128ull << 20;

// A size from the first source that names one, with the node to complain about.
struct Size {
  std::uint64_t value;
  JsonNode source;
};

Size annotated_size(const Annotation& annotation) {
  const auto& [text, node] = annotation;
  const auto value = decimal(text);
  if (!value) node.complain("expected a decimal number");
  return {value.value_or(0), node};
}

void check_range(const Size& size, std::uint64_t least, std::uint64_t most) {
  if (size.value < least) {
    size.source.complain(
        std::to_string(size.value) + " is too little; the least is " + std::to_string(least),
        Code::kInvalidArgument);
  } else if (size.value > most) {
    size.source.complain(
        std::to_string(size.value) + " is too much; the most is " + std::to_string(most),
        Code::kInvalidArgument);
  }
}

// Every source is read, also one that another overrules: a wrong field must not pass.
Size memory_size(const JsonNode& root, const Annotations& annotations) {
  // -1 is "unlimited" in the specification.
  const JsonNode limit = root["linux"]["resources"]["memory"]["limit"];
  const std::int64_t bytes = limit.signed_integer(-1, INT64_MAX);
  const JsonNode hardware = root["vm"]["hwConfig"]["memory"];
  const std::uint64_t hardware_bytes = hardware.unsigned_integer(0, UINT64_MAX);
  if (const auto annotation = annotations.find("memory")) {
    return annotated_size(*annotation);
  }
  if (hardware.present()) return {hardware_bytes, hardware};
  return {bytes > 0 ? static_cast<std::uint64_t>(bytes) : kDefaultMemoryBytes, limit};
}

Size processor_count(const JsonNode& root, const Annotations& annotations) {
  const JsonNode cpu = root["linux"]["resources"]["cpu"];
  const std::int64_t quota = cpu["quota"].signed_integer(INT64_MIN, INT64_MAX);
  const std::uint64_t period = cpu["period"].unsigned_integer(0, UINT64_MAX);
  const JsonNode hardware = root["vm"]["hwConfig"]["vcpus"];
  const std::uint64_t hardware_count = hardware.unsigned_integer(0, UINT64_MAX);
  if (const auto annotation = annotations.find("cpus")) {
    return annotated_size(*annotation);
  }
  if (hardware.present()) return {hardware_count, hardware};
  if (quota <= 0 || period == 0) return {1, cpu};
  // A fraction of a processor is a whole one; a quota for more than a VM can have is the most.
  const auto whole = static_cast<std::uint64_t>(quota) / period +
                     (static_cast<std::uint64_t>(quota) % period != 0 ? 1u : 0u);
  return {std::min<std::uint64_t>(whole, machine::MachineLimits::kMaxProcessors), cpu};
}

std::uint64_t scratch_size(const Annotations& annotations) {
  const auto annotation = annotations.find("scratch");
  if (!annotation) return 0;
  const Size size = annotated_size(*annotation);
  if (size.value == 0) return 0;
  check_range(size, kScratchUnitBytes, kMaxScratchBytes);
  const std::uint64_t rest = size.value % kScratchUnitBytes;
  return rest == 0 ? size.value : size.value - rest + kScratchUnitBytes;
}

void read_image_and_kernel(const JsonNode& root, VmShape& shape) {
  const JsonNode vm = root["vm"];
  const JsonNode kernel = vm["kernel"];
  shape.kernel = host_path(kernel["path"]);
  shape.initrd = host_path(kernel["initrd"]);
  for (const std::string& parameter : kernel["parameters"].strings()) {
    if (!shape.kernel_parameters.empty()) shape.kernel_parameters += ' ';
    shape.kernel_parameters += parameter;
  }
  if (shape.kernel_parameters.size() > machine::MachineLimits::kMaxCommandLineBytes) {
    kernel["parameters"].complain(
        "longer than " + std::to_string(machine::MachineLimits::kMaxCommandLineBytes) + " bytes");
  }
  const JsonNode image = vm["image"];
  if (!image.present()) return;  // root.path is the root
  shape.root_image = host_path(image["path"].required("an absolute path"));
  if (image["format"].required("\"raw\"").string() != "raw") {
    image["format"].complain("expected \"raw\"");
  }
}

void read_layers(const JsonNode& root, const Annotations& annotations, VmShape& shape) {
  const auto layers = annotations.find("rootfs.layers");
  if (!layers) return;
  if (!root["vm"]["image"].present()) layers->node.complain("layers of an image need vm.image");
  shape.root_layers = lines(layers->value);
  if (shape.root_layers.size() > kMaxRootLayers) {
    layers->node.complain("more than " + std::to_string(kMaxRootLayers) + " layers");
  }
  if (!std::ranges::all_of(shape.root_layers, platform::is_absolute_path)) {
    layers->node.complain("expected absolute paths, one a line");
  }
}

}  // namespace

void read_vm(const JsonNode& root, const Annotations& annotations, VmShape& shape) {
  read_image_and_kernel(root, shape);
  read_layers(root, annotations, shape);
  const Size memory = memory_size(root, annotations);
  check_range(memory, machine::MachineLimits::kMinMemoryBytes,
              machine::MachineLimits::kMaxMemoryBytes);
  shape.memory_bytes = memory.value;
  const Size processors = processor_count(root, annotations);
  check_range(processors, 1, machine::MachineLimits::kMaxProcessors);
  shape.processor_count = static_cast<std::uint32_t>(processors.value);
  shape.scratch_bytes = scratch_size(annotations);
  if (shape.scratch_bytes != 0 && !root["vm"]["image"].present()) {
    annotations.find("scratch")->node.complain(
        "a root folder is written in its place; a scratch disk needs vm.image", Code::kUnsupported);
  }
  if (const auto modules = annotations.find("kernel.modules")) {
    shape.modules = host_path(modules->node);
  }
  shape.engine = annotations.choice("engine", {"auto", "soft", "kvm", "whp"}, "");
}

}  // namespace runhv::container
