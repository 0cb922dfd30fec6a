#include "request.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

namespace runhv::agent {
namespace {

constexpr std::size_t kMaxGroups = 65536;         // NGROUPS_MAX
constexpr std::uint32_t kResources = 16;          // RLIM_NLIMITS
constexpr std::uint32_t kMaxDeviceMajor = 0xfff;  // MINORBITS = 20
constexpr std::uint32_t kMaxDeviceMinor = 0xfffff;
constexpr std::uint32_t kNamespaces = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC |
                                      CLONE_NEWNET | CLONE_NEWCGROUP | CLONE_NEWTIME |
                                      CLONE_NEWUSER;
// What the user namespace has to own, for its root to set the container up.
constexpr std::uint32_t kOwnedByUsers =
    CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP;
// The same of a container that shares one.
constexpr std::uint32_t kOwnedByItself = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWCGROUP;
constexpr std::uint32_t kSeccompFlags =
    SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW;

template <typename T>
bool load(std::span<const std::byte> data, T& out) {
  if (data.size() < sizeof out) return false;
  memcpy(&out, data.data(), sizeof out);
  return true;
}

// Exactly out.size() strings and nothing behind them.
bool take_strings(std::span<const std::byte> data, std::span<const char*> out) {
  for (const char*& text : out) {
    const void* end = data.empty() ? nullptr : memchr(data.data(), 0, data.size());
    if (end == nullptr) return false;
    text = reinterpret_cast<const char*>(data.data());
    data = data.subspan(static_cast<std::size_t>(static_cast<const std::byte*>(end) - data.data()) +
                        1);
  }
  return data.empty();
}

template <typename T>
bool exactly(const Record& record, T& out) {
  return record.data.size() == sizeof out && load(record.data, out);
}

bool is_string(const Record& record) {
  const char* text;
  return take_strings(record.data, {&text, 1});
}

bool absolute(const char* path) { return path[0] == '/'; }

// Parts with dots between them, none of them empty; a / stands for a dot in one.
bool is_parameter(const char* name) {
  bool after_name = false;
  for (; *name != '\0'; ++name) {
    const bool separates = *name == '.' || *name == '/';
    if (separates && !after_name) return false;
    after_name = !separates;
  }
  return after_name;
}

// The name becomes that of a file in a folder of the agent's.
const char* check_cgroup_file(const Record& record) {
  CgroupFileRecord file;
  if (!decode(record, file)) return "expected 2 strings";
  return file.name[0] >= 'a' && file.name[0] <= 'z' && strchr(file.name, '/') == nullptr
             ? nullptr
             : "expected the name of a file of a cgroup";
}

const char* check_device_rule(const Record& record, std::size_t& count) {
  runhv_device_rule rule;
  if (!decode(record, rule)) return "expected struct runhv_device_rule";
  if (rule.zero != 0) return "a field that must be zero is not";
  if (++count > RUNHV_MAX_DEVICE_RULES) return "too many rules of devices";
  return rule.allowed <= 1 && rule.types >= 1 && rule.types <= 3 && rule.access >= 1 &&
                 rule.access <= 7
             ? nullptr
             : "out of range";
}

// One record into `out`. Returns what is wrong, or null.
const char* apply(const Record& record, ProcessRequest& out) {
  switch (record.tag) {
    case RUNHV_REC_ARG:
      ++out.argument_count;
      return is_string(record) ? nullptr : "expected a string";
    case RUNHV_REC_ENV: {
      ++out.environment_count;
      if (!is_string(record)) return "expected a string";
      const char* equals = strchr(record.text(), '=');
      return equals != nullptr && equals != record.text() ? nullptr : "expected NAME=value";
    }
    case RUNHV_REC_CWD:
      if (!is_string(record) || !absolute(record.text())) return "expected an absolute path";
      out.cwd = record.text();
      return nullptr;
    case RUNHV_REC_USER:
      if (!exactly(record, out.user)) return "expected struct runhv_user";
      if (out.user.umask > 0777) return "umask out of range";
      return out.user.zero == 0 ? nullptr : "a field that must be zero is not";
    case RUNHV_REC_GROUPS:
      out.groups = record.data;
      return record.data.size() % sizeof(std::uint32_t) == 0 &&
                     record.data.size() / sizeof(std::uint32_t) <= kMaxGroups
                 ? nullptr
                 : "expected at most 65536 numbers";
    case RUNHV_REC_CAPS:
      return exactly(record, out.caps) ? nullptr : "expected struct runhv_caps";
    case RUNHV_REC_RLIMIT: {
      runhv_rlimit limit;
      if (!decode(record, limit)) return "expected struct runhv_rlimit";
      if (limit.resource >= kResources || limit.zero != 0) return "resource out of range";
      return limit.soft <= limit.hard ? nullptr : "soft limit above the hard limit";
    }
    case RUNHV_REC_FLAGS:
      if (!exactly(record, out.flags)) return "expected a number";
      return (out.flags & ~(RUNHV_PROCESS_NO_NEW_PRIVILEGES | RUNHV_PROCESS_UMASK |
                            RUNHV_PROCESS_WRITES_ARCHIVE)) == 0
                 ? nullptr
                 : "unknown flag";
    case RUNHV_REC_SECCOMP: {
      std::uint32_t zero;
      if (!load(record.data, out.seccomp_flags) || !load(record.data.subspan(4), zero) ||
          zero != 0) {
        return "expected flags and a filter";
      }
      out.seccomp_filter = record.data.subspan(8);
      if ((out.seccomp_flags & ~kSeccompFlags) != 0) return "unknown flag";
      return out.seccomp_filter.size() % sizeof(sock_filter) == 0 && !out.seccomp_filter.empty() &&
                     out.seccomp_filter.size() / sizeof(sock_filter) <= BPF_MAXINSNS
                 ? nullptr
                 : "expected 1 to 4096 instructions";
    }
    case RUNHV_REC_STDIO:
      if (!exactly(record, out.stdio)) return "expected struct runhv_stdio";
      if ((out.stdio.flags & ~std::uint32_t{RUNHV_STDIO_TERMINAL}) != 0) return "unknown flag";
      if (out.wants_terminal() &&
          (out.stdio.stdin_port == 0 || out.stdio.stdout_port != 0 || out.stdio.stderr_port != 0)) {
        return "expected one port for a terminal";
      }
      return out.stdio.zero == 0 ? nullptr : "a field that must be zero is not";
    case RUNHV_REC_DESCRIPTOR: {
      if (out.descriptor_count == RUNHV_MAX_DESCRIPTORS) return "too many descriptors";
      runhv_descriptor& descriptor = out.descriptors[out.descriptor_count++];
      if (!exactly(record, descriptor)) return "expected struct runhv_descriptor";
      if ((descriptor.flags & ~std::uint32_t{RUNHV_DESCRIPTOR_TO_HOST}) != 0) return "unknown flag";
      return descriptor.port != 0 ? nullptr : "expected a port";
    }
    case RUNHV_REC_OOM_SCORE_ADJ:
      out.has_oom_score_adj = true;
      if (!exactly(record, out.oom_score_adj)) return "expected a number";
      return out.oom_score_adj >= -1000 && out.oom_score_adj <= 1000 ? nullptr : "out of range";
    case RUNHV_REC_SCHEDULER:
      out.has_scheduler = true;
      if (!exactly(record, out.scheduler)) return "expected struct runhv_scheduler";
      return out.scheduler.zero == 0 ? nullptr : "a field that must be zero is not";
    case RUNHV_REC_IO_PRIORITY:
      return exactly(record, out.io_priority) ? nullptr : "expected a number";
    case RUNHV_REC_CPU_AFFINITY:
      return exactly(record, out.cpu_affinity) ? nullptr : "expected a number";
    case RUNHV_REC_PERSONALITY:
      return exactly(record, out.personality) ? nullptr : "expected a number";
    default:
      return "unknown tag";
  }
}

const char* wrong_map(const Record& record, std::span<const std::byte>& out) {
  out = record.data;
  return !record.data.empty() && record.data.size() % sizeof(runhv_id_range) == 0 &&
                 record.data.size() / sizeof(runhv_id_range) <= RUNHV_MAX_ID_RANGES
             ? nullptr
             : "expected 1 to 340 struct runhv_id_range";
}

const char* wrong_users(const ContainerRequest& container) {
  const bool has_users = (container.namespaces & CLONE_NEWUSER) != 0;
  const bool has_maps = !container.uid_map.empty();
  if (container.gid_map.empty() == has_maps || (has_maps && !has_users)) {
    return "a user namespace and both of its maps come together";
  }
  // Without maps it is another one's, as some of the others may be.
  const std::uint32_t owned = has_maps ? kOwnedByUsers : kOwnedByItself;
  return has_users && (~container.namespaces & owned) != 0 ? "with a user namespace come all others"
                                                           : nullptr;
}

// What is wrong, or null; as all that follow.
const char* wrong_netlink(const Record& record) {
  NetlinkRecord netlink;
  if (!decode(record, netlink)) return "expected struct runhv_netlink, a message and a string";
  if (netlink.head.zero != 0) return "a field that must be zero is not";
  return netlink.head.interface < RUNHV_MAX_NETWORKS ? nullptr : "interface out of range";
}

const char* wrong_resolver(const Record& record, runhv_resolver& out) {
  if (!exactly(record, out)) return "expected struct runhv_resolver";
  return out.zero == 0 ? nullptr : "a field that must be zero is not";
}

const char* apply(const Record& record, ContainerRequest& out) {
  switch (record.tag) {
    case RUNHV_REC_NAMESPACES:
      if (!exactly(record, out.namespaces)) return "expected a number";
      return (out.namespaces & ~kNamespaces) == 0 ? nullptr : "unknown namespace";
    case RUNHV_REC_HOSTNAME:
      out.hostname = record.text();
      return is_string(record) ? nullptr : "expected a string";
    case RUNHV_REC_DOMAINNAME:
      out.domainname = record.text();
      return is_string(record) ? nullptr : "expected a string";
    case RUNHV_REC_ROOT: {
      const char* strings[2];
      if (!load(record.data, out.root) ||
          !take_strings(record.data.subspan(sizeof out.root), strings)) {
        return "expected struct runhv_root and 2 strings";
      }
      if ((out.root.flags & ~(RUNHV_ROOT_READONLY | RUNHV_ROOT_SCRATCH_DISK | RUNHV_ROOT_SHARE)) !=
          0) {
        return "unknown flag";
      }
      if ((out.root.flags & RUNHV_ROOT_SHARE) != 0) out.has_shares = true;
      out.root_type = strings[0];
      out.root_device = strings[1];
      return absolute(out.root_device) ? nullptr : "expected an absolute path of a device";
    }
    case RUNHV_REC_MOUNT: {
      MountRecord mount;
      if (!decode(record, mount)) return "expected struct runhv_mount and 4 strings";
      if ((mount.how.options &
           ~(RUNHV_MOUNT_TMPCOPYUP | RUNHV_MOUNT_RECURSIVE_READONLY | RUNHV_MOUNT_SHARE)) != 0) {
        return "unknown option";
      }
      if (mount.how.zero != 0) return "a field that must be zero is not";
      if ((mount.how.options & RUNHV_MOUNT_SHARE) != 0) {
        out.has_shares = true;
        if (!absolute(mount.source)) return "expected the place of a share";
      }
      return absolute(mount.destination) ? nullptr : "expected an absolute destination";
    }
    case RUNHV_REC_DEVICE: {
      DeviceRecord device;
      if (!decode(record, device)) return "expected struct runhv_device and a string";
      if (device.what.zero != 0) return "a field that must be zero is not";
      if (!S_ISCHR(device.what.mode) && !S_ISBLK(device.what.mode) && !S_ISFIFO(device.what.mode)) {
        return "expected a character device, a block device or a FIFO";
      }
      if (device.what.major > kMaxDeviceMajor || device.what.minor > kMaxDeviceMinor) {
        return "device number out of range";
      }
      return absolute(device.path) ? nullptr : "expected an absolute path";
    }
    case RUNHV_REC_MASKED:
    case RUNHV_REC_READONLY:
      return is_string(record) && absolute(record.text()) ? nullptr : "expected an absolute path";
    case RUNHV_REC_SYSCTL: {
      ++out.sysctl_count;
      SysctlRecord sysctl;
      if (!decode(record, sysctl)) return "expected 2 strings";
      // The name becomes a path below /proc/sys.
      return is_parameter(sysctl.name) ? nullptr : "expected a name with dots";
    }
    case RUNHV_REC_CLOCK:
      return exactly(record, out.clock_ns) ? nullptr : "expected nanoseconds";
    case RUNHV_REC_ENTROPY:
      out.entropy = record.data;
      return record.data.size() == 32 ? nullptr : "expected 32 bytes";
    case RUNHV_REC_FILE: {
      FileRecord file;
      if (!decode(record, file)) return "expected struct runhv_file and 2 strings";
      if ((file.what.flags & ~std::uint32_t{RUNHV_FILE_IF_MISSING}) != 0) return "unknown flag";
      const std::uint32_t mode = file.what.mode;
      if (!S_ISREG(mode) && !S_ISLNK(mode) && !S_ISDIR(mode)) {
        return "expected a file, a link or a directory";
      }
      return absolute(file.path) ? nullptr : "expected an absolute path";
    }
    case RUNHV_REC_CGROUP:
      out.has_cgroup = true;
      return record.data.empty() ? nullptr : "expected nothing";
    case RUNHV_REC_CGROUP_FILE:
      return out.has_cgroup ? check_cgroup_file(record) : "comes before that of the cgroup";
    case RUNHV_REC_DEVICE_RULE:
      return out.has_cgroup ? check_device_rule(record, out.device_rule_count)
                            : "comes before that of the cgroup";
    case RUNHV_REC_HOOK: {
      HookRecord hook;
      if (!decode(record, hook)) return "expected struct runhv_hook and its strings";
      if (hook.how.zero != 0) return "a field that must be zero is not";
      return absolute(hook.path) ? nullptr : "expected an absolute path";
    }
    case RUNHV_REC_TIME_OFFSETS: {
      out.has_time_offsets = true;
      runhv_time_offsets& offsets = out.time_offsets;
      if (!exactly(record, offsets)) return "expected struct runhv_time_offsets";
      return offsets.monotonic_nanoseconds < 1'000'000'000 &&
                     offsets.boottime_nanoseconds < 1'000'000'000
                 ? nullptr
                 : "nanoseconds out of range";
    }
    case RUNHV_REC_UID_MAP:
      return wrong_map(record, out.uid_map);
    case RUNHV_REC_GID_MAP:
      return wrong_map(record, out.gid_map);
    case RUNHV_REC_NETLINK:
      ++out.netlink_count;
      return wrong_netlink(record);
    case RUNHV_REC_RESOLVER:
      out.has_resolver = true;
      return wrong_resolver(record, out.resolver);
    default:
      return "unknown tag";
  }
}

const char* apply(const Record& record, NetworkRequest& out) {
  switch (record.tag) {
    case RUNHV_REC_NETLINK:
      return wrong_netlink(record);
    case RUNHV_REC_RESOLVER:
      out.has_resolver = true;
      return wrong_resolver(record, out.resolver);
    case RUNHV_REC_NETWORK_SLOT: {
      runhv_network_slot slot;
      if (!decode(record, slot)) return "expected struct runhv_network_slot";
      if (slot.zero != 0) return "a field that must be zero is not";
      if (slot.present > 1) return "neither there nor gone";
      return slot.interface < RUNHV_MAX_NETWORKS ? nullptr : "interface out of range";
    }
    default:
      return "unknown tag";
  }
}

const char* apply(const Record& record, ResourcesRequest& out) {
  if (record.tag == RUNHV_REC_DEVICE_RULE) return check_device_rule(record, out.device_rule_count);
  return record.tag == RUNHV_REC_CGROUP_FILE ? check_cgroup_file(record) : "unknown tag";
}

bool may_repeat(std::uint16_t tag) {
  switch (tag) {
    case RUNHV_REC_ARG:
    case RUNHV_REC_ENV:
    case RUNHV_REC_RLIMIT:
    case RUNHV_REC_DESCRIPTOR:
    case RUNHV_REC_MOUNT:
    case RUNHV_REC_DEVICE:
    case RUNHV_REC_MASKED:
    case RUNHV_REC_READONLY:
    case RUNHV_REC_SYSCTL:
    case RUNHV_REC_FILE:
    case RUNHV_REC_CGROUP_FILE:
    case RUNHV_REC_DEVICE_RULE:
    case RUNHV_REC_HOOK:
    case RUNHV_REC_NETLINK:
    case RUNHV_REC_NETWORK_SLOT:
      return true;
    default:
      return false;
  }
}

template <typename Request>
bool parse_records(std::span<const std::byte> records, Request& out, std::string_view message,
                   Text<512>& error) {
  out = {};
  out.records = records;
  RecordReader reader(records);
  Record record;
  std::uint64_t seen = 0;
  std::uint64_t number = 0;
  const char* wrong = nullptr;
  for (; wrong == nullptr && reader.next(record); ++number) {
    wrong = apply(record, out);
    if (wrong == nullptr && !may_repeat(record.tag)) {
      const std::uint64_t bit = std::uint64_t{1} << record.tag;
      if ((seen & bit) != 0) wrong = "given twice";
      seen |= bit;
    }
  }
  if (wrong == nullptr) {
    wrong = reader.broken();
    ++number;
  }
  if (wrong == nullptr) return true;
  error.add(message).add(": record ").add_number(number).add(": ").add(wrong);
  return false;
}

}  // namespace

bool RecordReader::next(Record& out) {
  if (rest_.empty()) return false;
  runhv_record header;
  if (!load(rest_, header)) {
    broken_ = "cut header";
    return false;
  }
  rest_ = rest_.subspan(sizeof header);
  if (header.zero != 0) {
    broken_ = "a field that must be zero is not";
    return false;
  }
  const std::size_t padded = (std::size_t{header.length} + 7) & ~std::size_t{7};
  if (padded > rest_.size()) {
    broken_ = "longer than the frame";
    return false;
  }
  for (const std::byte padding : rest_.subspan(header.length, padded - header.length)) {
    if (padding != std::byte{0}) {
      broken_ = "padding that is not zero";
      return false;
    }
  }
  out = {header.tag, rest_.first(header.length)};
  rest_ = rest_.subspan(padded);
  return true;
}

bool decode(const Record& record, MountRecord& out) {
  const char* strings[4];
  if (!load(record.data, out.how) || !take_strings(record.data.subspan(sizeof out.how), strings)) {
    return false;
  }
  out.destination = strings[0];
  out.type = strings[1];
  out.source = strings[2];
  out.data = strings[3];
  return true;
}

bool decode(const Record& record, DeviceRecord& out) {
  return load(record.data, out.what) &&
         take_strings(record.data.subspan(sizeof out.what), {&out.path, 1});
}

bool decode(const Record& record, HookRecord& out) {
  if (!load(record.data, out.how)) return false;
  std::span<const std::byte> rest = record.data.subspan(sizeof out.how);
  const auto take = [&](const char*& text) {
    const void* end = rest.empty() ? nullptr : memchr(rest.data(), 0, rest.size());
    if (end == nullptr) return false;
    text = reinterpret_cast<const char*>(rest.data());
    rest = rest.subspan(static_cast<std::size_t>(static_cast<const std::byte*>(end) - rest.data()) +
                        1);
    return true;
  };
  if (!take(out.state) || !take(out.path)) return false;
  out.strings = reinterpret_cast<const char*>(rest.data());
  const std::uint64_t count = std::uint64_t{out.how.arguments} + out.how.variables;
  for (std::uint64_t i = 0; i < count; ++i) {
    const char* text;
    if (!take(text)) return false;
  }
  return rest.empty();
}

bool decode(const Record& record, CgroupFileRecord& out) {
  const char* strings[2];
  if (!take_strings(record.data, strings)) return false;
  out = {strings[0], strings[1]};
  return true;
}

bool decode(const Record& record, runhv_device_rule& out) { return exactly(record, out); }

bool decode(const Record& record, SysctlRecord& out) {
  const char* strings[2];
  if (!take_strings(record.data, strings)) return false;
  out = {strings[0], strings[1]};
  return true;
}

bool decode(const Record& record, FileRecord& out) {
  const char* strings[2];
  if (!load(record.data, out.what) ||
      !take_strings(record.data.subspan(sizeof out.what), strings)) {
    return false;
  }
  out.path = strings[0];
  out.content = strings[1];
  return true;
}

bool decode(const Record& record, NetlinkRecord& out) {
  if (!load(record.data, out.head)) return false;
  const std::span<const std::byte> rest = record.data.subspan(sizeof out.head);
  const std::uint32_t size = out.head.message_bytes;
  if (size > rest.size() || size % 4 != 0 || size < sizeof(std::uint32_t) ||
      out.head.index_offset > size - sizeof(std::uint32_t)) {
    return false;
  }
  out.message = rest.first(size);
  return take_strings(rest.subspan(size), {&out.what, 1});
}

bool decode(const Record& record, runhv_rlimit& out) { return exactly(record, out); }
bool decode(const Record& record, runhv_network_slot& out) { return exactly(record, out); }

bool parse(std::span<const std::byte> records, ContainerRequest& out, Text<512>& error) {
  if (!parse_records(records, out, "CONTAINER", error)) return false;
  const char* wrong = out.root_type == nullptr ? "no root" : wrong_users(out);
  if (wrong != nullptr) error.add("CONTAINER: ").add(wrong);
  return wrong == nullptr;
}

bool parse(std::span<const std::byte> records, ProcessRequest& out, Text<512>& error) {
  if (!parse_records(records, out, "PREPARE", error)) return false;
  if (out.argument_count != 0) return true;
  error.add("PREPARE: no argument");
  return false;
}

bool parse(std::span<const std::byte> records, ResourcesRequest& out, Text<512>& error) {
  return parse_records(records, out, "RESOURCES", error);
}

bool parse(std::span<const std::byte> records, NetworkRequest& out, Text<512>& error) {
  return parse_records(records, out, "NETWORK", error);
}

}  // namespace runhv::agent
