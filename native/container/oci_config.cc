#include "container/oci_config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "container/json_reader.h"
#include "container/linux_abi.h"
#include "container/seccomp.h"
#include "machine/machine.h"
#include "runhv/runhv.h"

namespace runhv {
namespace {

constexpr std::uint64_t kDefaultMemoryBytes = 128ull << 20;

static_assert(MachineLimits::kMinMemoryBytes == RUNHV_MIN_MEMORY_BYTES);
static_assert(MachineLimits::kMaxMemoryBytes == RUNHV_MAX_MEMORY_BYTES);
static_assert(MachineLimits::kMaxProcessors == RUNHV_MAX_CPUS);
static_assert(kScratchUnitBytes == RUNHV_MIN_SCRATCH_BYTES);
static_assert(kMaxScratchBytes == RUNHV_MAX_SCRATCH_BYTES);

bool is_absolute(std::string_view path) { return !path.empty() && path.front() == '/'; }

std::string absolute_path(const JsonNode& node) {
  std::string path = node.string();
  if (node.present() && !is_absolute(path)) node.complain("expected an absolute path");
  return path;
}

std::vector<std::string> absolute_paths(const JsonNode& node) {
  std::vector<std::string> paths;
  for (const JsonNode& element : node.elements()) paths.push_back(absolute_path(element));
  return paths;
}

std::optional<std::uint64_t> decimal(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// What cannot be applied is refused, never dropped in silence.
void refuse(const JsonNode& node, std::string_view why) {
  if (node.present()) node.complain(why, Code::kUnsupported);
}

void refuse_text(const JsonNode& node, std::string_view why) {
  if (!node.string().empty()) node.complain(why, Code::kUnsupported);
}

// --- process ---------------------------------------------------------------------------------

std::uint64_t capability_set(const JsonNode& names) {
  std::uint64_t bits = 0;
  for (const JsonNode& node : names.elements()) {
    const auto bit = linux_abi::find_capability(node.string());
    if (!bit) {
      node.complain("unknown capability " + node.string());
      continue;
    }
    bits |= 1ull << *bit;
  }
  return bits;
}

void read_user(const JsonNode& user, OciConfig& config) {
  config.user.uid = static_cast<std::uint32_t>(user["uid"].unsigned_integer(0, UINT32_MAX - 1));
  config.user.gid = static_cast<std::uint32_t>(user["gid"].unsigned_integer(0, UINT32_MAX - 1));
  config.has_umask = user["umask"].present();
  config.user.umask = static_cast<std::uint32_t>(user["umask"].unsigned_integer(0, 0777));
  for (const JsonNode& group : user["additionalGids"].elements()) {
    config.groups.push_back(static_cast<std::uint32_t>(group.unsigned_integer(0, UINT32_MAX - 1)));
  }
}

void read_rlimits(const JsonNode& rlimits, OciConfig& config) {
  for (const JsonNode& node : rlimits.elements()) {
    const std::string name = node["type"].required("a resource").string();
    const auto resource = linux_abi::find_rlimit(name);
    if (!resource) {
      node["type"].complain("unknown resource " + name);
      continue;
    }
    runhv_rlimit limit{};
    limit.resource = *resource;
    limit.soft = node["soft"].required("an integer").unsigned_integer(0, UINT64_MAX);
    limit.hard = node["hard"].required("an integer").unsigned_integer(0, UINT64_MAX);
    if (limit.soft > limit.hard) node["soft"].complain("more than the hard limit");
    if (std::ranges::any_of(config.rlimits,
                            [&](const auto& other) { return other.resource == *resource; })) {
      node["type"].complain(name + " is there twice");
      continue;
    }
    config.rlimits.push_back(limit);
  }
}

void read_process(const JsonNode& process, OciConfig& config) {
  process.required("an object");
  config.arguments = process["args"].required("an array of strings").strings();
  if (process["args"].present() && config.arguments.empty()) {
    process["args"].complain("expected at least one string");
  }
  for (const JsonNode& node : process["env"].elements()) {
    config.environment.push_back(node.string());
    const std::size_t equals = config.environment.back().find('=');
    if (equals == std::string::npos || equals == 0) node.complain("expected NAME=value");
  }
  config.cwd = absolute_path(process["cwd"].required("an absolute path"));
  read_user(process["user"], config);
  if (const JsonNode sets = process["capabilities"]; sets.present()) {
    config.capabilities =
        runhv_caps{capability_set(sets["bounding"]), capability_set(sets["effective"]),
                   capability_set(sets["permitted"]), capability_set(sets["inheritable"]),
                   capability_set(sets["ambient"])};
  }
  read_rlimits(process["rlimits"], config);
  config.no_new_privileges = process["noNewPrivileges"].boolean();
  if (const JsonNode score = process["oomScoreAdj"]; score.present()) {
    config.oom_score_adj = static_cast<std::int32_t>(score.signed_integer(-1000, 1000));
  }
  if (process["terminal"].boolean()) {
    process["terminal"].complain("terminals are not in this version", Code::kUnsupported);
  }
  refuse_text(process["apparmorProfile"], "the guest has no AppArmor");
  refuse_text(process["selinuxLabel"], "the guest has no SELinux");
  refuse(process["scheduler"], "not in this version");
  refuse(process["ioPriority"], "not in this version");
  refuse(process["execCPUAffinity"], "not in this version");
}

// --- root and mounts ---------------------------------------------------------------------------

void read_mount_option(const JsonNode& node, OciMount& mount) {
  static constexpr std::string_view kRefused[] = {
      "bind",           "rbind",      "idmap",       "ridmap",   "rrw",    "rnosuid",
      "rsuid",          "rnodev",     "rdev",        "rnoexec",  "rexec",  "rnodiratime",
      "rdiratime",      "rrelatime",  "rnorelatime", "rnoatime", "ratime", "rstrictatime",
      "rnostrictatime", "rsymfollow", "rnosymfollow"};
  const std::string name = node.string();
  if (std::ranges::find(kRefused, name) != std::end(kRefused)) {
    node.complain("the option " + name + " is not in this version", Code::kUnsupported);
  } else if (name == "tmpcopyup") {
    mount.fixed.options |= RUNHV_MOUNT_TMPCOPYUP;
  } else if (name == "rro") {
    mount.fixed.flags |= linux_abi::kMsRdonly;
    mount.fixed.options |= RUNHV_MOUNT_RECURSIVE_READONLY;
  } else if (const auto option = linux_abi::find_mount_option(name)) {
    mount.fixed.flags = (mount.fixed.flags | option->set) & ~option->clear;
    if (option->propagation != 0) mount.fixed.propagation = option->propagation;
  } else {
    if (!mount.data.empty()) mount.data += ',';
    mount.data += name;
  }
}

void read_mounts(const JsonNode& mounts, OciConfig& config) {
  static constexpr std::string_view kTypes[] = {"proc",   "sysfs",  "tmpfs",  "devpts",
                                                "mqueue", "cgroup", "cgroup2"};
  for (const JsonNode& node : mounts.elements()) {
    OciMount mount;
    mount.destination = absolute_path(node["destination"].required("an absolute path"));
    mount.type = node["type"].string();
    mount.source = node["source"].string();
    for (const JsonNode& option : node["options"].elements()) read_mount_option(option, mount);
    if (mount.type == "bind" || mount.type == "none" || mount.type.empty()) {
      node.complain("bind mounts are not in this version", Code::kUnsupported);
    } else if (std::ranges::find(kTypes, mount.type) == std::end(kTypes)) {
      node["type"].complain("a file system of type " + mount.type + " is not in this version",
                            Code::kUnsupported);
    }
    if (mount.source.empty()) mount.source = mount.type;
    refuse(node["uidMappings"], "not in this version");
    refuse(node["gidMappings"], "not in this version");
    config.mounts.push_back(std::move(mount));
  }
}

std::string host_name(const JsonNode& node) {
  std::string name = node.string();
  if (name.size() > linux_abi::kMaxHostNameBytes) node.complain("longer than 64 bytes");
  return name;
}

// --- linux -------------------------------------------------------------------------------------

void read_namespaces(const JsonNode& namespaces, OciConfig& config) {
  static constexpr std::pair<std::string_view, std::uint32_t> kKnown[] = {
      {"pid", linux_abi::kCloneNewpid},
      {"mount", linux_abi::kCloneNewns},
      {"uts", linux_abi::kCloneNewuts},
      {"ipc", linux_abi::kCloneNewipc},
      {"cgroup", linux_abi::kCloneNewcgroup},
      {"network", linux_abi::kCloneNewnet},
      {"user", 0},
      {"time", 0}};
  std::vector<std::string> seen;
  for (const JsonNode& node : namespaces.elements()) {
    const std::string type = node["type"].required("a string").string();
    const auto* known =
        std::ranges::find(kKnown, type, [](const auto& pair) { return pair.first; });
    if (known == std::end(kKnown)) {
      node["type"].complain("unknown namespace " + type);
      continue;
    }
    if (std::ranges::find(seen, type) != seen.end()) {
      node["type"].complain("the namespace " + type + " is there twice");
      continue;
    }
    seen.push_back(type);
    refuse_text(node["path"], "joining a namespace is not possible: the container has its own VM");
    config.namespaces |= known->second;
  }
}

void read_devices(const JsonNode& devices, OciConfig& config) {
  for (const JsonNode& node : devices.elements()) {
    OciDevice device;
    device.path = absolute_path(node["path"].required("an absolute path"));
    const std::string type = node["type"].required("c, b or p").string();
    std::uint32_t format = 0;
    if (type == "c" || type == "u") {
      format = linux_abi::kSIfchr;
    } else if (type == "b") {
      format = linux_abi::kSIfblk;
    } else if (type == "p") {
      format = linux_abi::kSIfifo;
    } else {
      node["type"].complain("expected c, b or p");
    }
    const JsonNode mode = node["fileMode"];
    const std::uint64_t permissions = mode.present() ? mode.unsigned_integer(0, 0xffff) : 0666;
    device.fixed.mode = format | (static_cast<std::uint32_t>(permissions) & 07777u);
    if (format != linux_abi::kSIfifo) {
      // Bounds of dev_t in the kernel: 12 bits and 20 bits.
      node["major"].required("an integer");
      node["minor"].required("an integer");
      device.fixed.major = static_cast<std::uint32_t>(node["major"].unsigned_integer(0, 0xfff));
      device.fixed.minor = static_cast<std::uint32_t>(node["minor"].unsigned_integer(0, 0xfffff));
    }
    device.fixed.uid = static_cast<std::uint32_t>(node["uid"].unsigned_integer(0, UINT32_MAX - 1));
    device.fixed.gid = static_cast<std::uint32_t>(node["gid"].unsigned_integer(0, UINT32_MAX - 1));
    config.devices.push_back(std::move(device));
  }
}

std::uint32_t root_propagation(const JsonNode& node) {
  const std::string name = node.string();
  if (name.empty()) return 0;
  const auto option = linux_abi::find_mount_option(name);
  if (!option || option->propagation == 0) {
    node.complain("expected shared, slave, private or unbindable, with or without an r before");
    return 0;
  }
  return static_cast<std::uint32_t>(option->propagation);
}

void read_linux(const JsonNode& section, OciConfig& config) {
  read_namespaces(section["namespaces"], config);
  read_devices(section["devices"], config);
  config.masked_paths = absolute_paths(section["maskedPaths"]);
  config.read_only_paths = absolute_paths(section["readonlyPaths"]);
  for (const auto& [name, node] : section["sysctl"].members()) {
    config.sysctls.emplace_back(name, node.string());
    // The agent's rule.
    if (name.empty() || name.front() == '.' || name.find("..") != std::string::npos ||
        name.find('/') != std::string::npos) {
      node.complain("expected a name such as net.ipv4.ip_forward");
    }
  }
  config.root_propagation = root_propagation(section["rootfsPropagation"]);
  if (section["seccomp"].present()) config.seccomp = compile_seccomp(section["seccomp"]);
  refuse(section["personality"], "not in this version");
  refuse(section["intelRdt"], "not in this version");
  refuse(section["timeOffsets"], "not in this version");
  refuse(section["netDevices"], "not in this version");
  refuse_text(section["mountLabel"], "the guest has no SELinux");
}

// --- the size and the shape of the VM ------------------------------------------------------------

using Annotations = std::map<std::string, std::pair<std::string, JsonNode>>;

Annotations read_annotations(const JsonNode& section) {
  static constexpr std::string_view kKnown[] = {"memory", "cpus",  "scratch",       "rootfs.type",
                                                "engine", "stdin", "kernel.modules"};
  static constexpr std::string_view kPrefix = "dev.runhv.";
  Annotations ours;
  for (const auto& [name, node] : section.members()) {
    std::string value = node.string();
    if (!name.starts_with(kPrefix)) continue;
    const std::string key = name.substr(kPrefix.size());
    if (std::ranges::find(kKnown, key) == std::end(kKnown)) {
      node.complain(
          "unknown annotation; known are "
          "dev.runhv.{memory,cpus,scratch,rootfs.type,engine,stdin,kernel.modules}");
    }
    ours.insert_or_assign(key, std::pair(std::move(value), node));
  }
  return ours;
}

std::string choice(const Annotations& annotations, const std::string& key,
                   std::initializer_list<std::string_view> allowed, std::string_view otherwise) {
  const auto found = annotations.find(key);
  if (found == annotations.end()) return std::string(otherwise);
  const auto& [value, node] = found->second;
  if (std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
    std::string names;
    for (const std::string_view name : allowed) {
      if (!names.empty()) names += ", ";
      names += name;
    }
    node.complain("expected one of: " + names);
  }
  return value;
}

// A size from the first source that names one, with the node to complain about.
struct Size {
  std::uint64_t value;
  JsonNode source;
};

Size annotated_size(const std::pair<std::string, JsonNode>& annotation) {
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
  if (const auto found = annotations.find("memory"); found != annotations.end()) {
    return annotated_size(found->second);
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
  if (const auto found = annotations.find("cpus"); found != annotations.end()) {
    return annotated_size(found->second);
  }
  if (hardware.present()) return {hardware_count, hardware};
  if (quota <= 0 || period == 0) return {1, cpu};
  // A fraction of a processor is a whole one; a quota for more than a VM can have is the most.
  const auto whole = static_cast<std::uint64_t>(quota) / period +
                     (static_cast<std::uint64_t>(quota) % period != 0 ? 1u : 0u);
  return {std::min<std::uint64_t>(whole, MachineLimits::kMaxProcessors), cpu};
}

std::uint64_t scratch_size(const Annotations& annotations) {
  const auto found = annotations.find("scratch");
  if (found == annotations.end()) return 0;
  const Size size = annotated_size(found->second);
  if (size.value == 0) return 0;
  check_range(size, kScratchUnitBytes, kMaxScratchBytes);
  const std::uint64_t rest = size.value % kScratchUnitBytes;
  return rest == 0 ? size.value : size.value - rest + kScratchUnitBytes;
}

void read_vm(const JsonNode& root, OciConfig& config) {
  const JsonNode vm = root["vm"];
  const JsonNode kernel = vm["kernel"];
  config.kernel = absolute_path(kernel["path"]);
  config.initrd = absolute_path(kernel["initrd"]);
  for (const std::string& parameter : kernel["parameters"].strings()) {
    if (!config.kernel_parameters.empty()) config.kernel_parameters += ' ';
    config.kernel_parameters += parameter;
  }
  if (config.kernel_parameters.size() > MachineLimits::kMaxCommandLineBytes) {
    kernel["parameters"].complain("longer than " +
                                  std::to_string(MachineLimits::kMaxCommandLineBytes) + " bytes");
  }
  const JsonNode image = vm["image"];
  image.required("the root file system's block image; a rootfs folder is not in this version");
  config.root_image = absolute_path(image["path"].required("an absolute path"));
  if (image["format"].required("\"raw\"").string() != "raw") {
    image["format"].complain("expected \"raw\"");
  }
}

void read_version(const JsonNode& node) {
  const std::string version = node.required("a version such as 1.2.0").string();
  if (!version.starts_with("1.")) node.complain("expected version 1.x, not " + version);
}

}  // namespace

Result<OciConfig> parse_oci_config(std::string_view json, const std::string& operation) {
  RUNHV_TRY_ASSIGN(const auto reader, JsonReader::parse(json, operation));
  const JsonNode root = reader->root();
  OciConfig config;
  read_version(root["ociVersion"]);
  read_process(root["process"], config);
  config.root_read_only = root["root"]["readonly"].boolean();
  (void)root["root"]["path"].string();
  config.hostname = host_name(root["hostname"]);
  config.domainname = host_name(root["domainname"]);
  read_mounts(root["mounts"], config);
  read_linux(root["linux"], config);
  for (const auto& [name, list] : root["hooks"].members()) {
    if (!list.elements().empty())
      list.complain("hooks are not in this version", Code::kUnsupported);
  }
  read_vm(root, config);

  const Annotations annotations = read_annotations(root["annotations"]);
  const Size memory = memory_size(root, annotations);
  check_range(memory, MachineLimits::kMinMemoryBytes, MachineLimits::kMaxMemoryBytes);
  config.memory_bytes = memory.value;
  const Size processors = processor_count(root, annotations);
  check_range(processors, 1, MachineLimits::kMaxProcessors);
  config.processor_count = static_cast<std::uint32_t>(processors.value);
  config.scratch_bytes = scratch_size(annotations);
  config.root_type = choice(annotations, "rootfs.type", {"erofs", "ext4"}, "erofs");
  if (const auto found = annotations.find("kernel.modules"); found != annotations.end()) {
    config.modules = absolute_path(found->second.second);
  }
  config.engine = choice(annotations, "engine", {"auto", "soft", "kvm", "whp"}, "");
  config.connect_stdin = choice(annotations, "stdin", {"true", "false"}, "true") == "true";

  if (reader->error()) return Fail{*reader->error()};
  return config;
}

}  // namespace runhv
