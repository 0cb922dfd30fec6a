#include "container/agent_request.h"

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace runhv::container {
namespace {

constexpr std::size_t kRecordAlignment = 8;
constexpr std::size_t kIdentityBytes =
    2 * sizeof(runhv_record) + sizeof(std::uint64_t) + kEntropyBytes;
constexpr std::size_t kDescriptorsBytes =
    RUNHV_MAX_DESCRIPTORS * (sizeof(runhv_record) + sizeof(runhv_descriptor));

template <class T>
std::span<const std::byte> object_bytes(const T& object) {
  static_assert(std::is_trivially_copyable_v<T> && std::has_unique_object_representations_v<T>);
  return std::as_bytes(std::span(&object, 1));
}

// Builds one record and pads it when it is closed.
class Record {
 public:
  Record(std::vector<std::byte>& out, std::uint16_t tag) : out_(out), start_(out.size()) {
    out_.resize(start_ + sizeof(runhv_record));
    store_le<std::uint16_t>(std::span(out_), start_, tag);
  }
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;
  ~Record() {
    const std::size_t length = out_.size() - start_ - sizeof(runhv_record);
    store_le<std::uint32_t>(std::span(out_), start_ + offsetof(runhv_record, length),
                            static_cast<std::uint32_t>(length));
    while (out_.size() % kRecordAlignment != 0) out_.push_back(std::byte{0});
  }
  Record& bytes(std::span<const std::byte> data) {
    out_.insert(out_.end(), data.begin(), data.end());
    return *this;
  }
  template <class T>
  Record& object(const T& value) {
    return bytes(object_bytes(value));
  }
  Record& string(std::string_view text) {
    bytes(as_bytes(text));
    out_.push_back(std::byte{0});
    return *this;
  }

 private:
  std::vector<std::byte>& out_;
  std::size_t start_;
};

void append_strings(std::vector<std::byte>& out, std::uint16_t tag,
                    const std::vector<std::string>& texts) {
  for (const std::string& text : texts) Record(out, tag).string(text);
}

void append_cgroup(std::vector<std::byte>& out, const CgroupSettings& settings) {
  for (const CgroupSetting& each : settings.files) {
    Record(out, RUNHV_REC_CGROUP_FILE).string(each.file).string(each.value);
  }
  if (!settings.devices) return;
  for (const runhv_device_rule& each : *settings.devices) {
    Record(out, RUNHV_REC_DEVICE_RULE).object(each);
  }
}

void append_process(std::vector<std::byte>& out, const ProcessSpec& spec) {
  append_strings(out, RUNHV_REC_ARG, spec.arguments);
  append_strings(out, RUNHV_REC_ENV, spec.environment);
  Record(out, RUNHV_REC_CWD).string(spec.cwd);
  Record(out, RUNHV_REC_USER).object(spec.user);
  if (!spec.groups.empty()) {
    Record(out, RUNHV_REC_GROUPS).bytes(std::as_bytes(std::span(spec.groups)));
  }
  if (spec.capabilities) Record(out, RUNHV_REC_CAPS).object(*spec.capabilities);
  for (const runhv_rlimit& limit : spec.rlimits) Record(out, RUNHV_REC_RLIMIT).object(limit);
  std::uint32_t flags = 0;
  if (spec.no_new_privileges) flags |= RUNHV_PROCESS_NO_NEW_PRIVILEGES;
  if (spec.has_umask) flags |= RUNHV_PROCESS_UMASK;
  if (spec.archive) flags |= RUNHV_PROCESS_WRITES_ARCHIVE;
  Record(out, RUNHV_REC_FLAGS).object(flags);
  if (spec.oom_score_adj) Record(out, RUNHV_REC_OOM_SCORE_ADJ).object(*spec.oom_score_adj);
  if (spec.scheduler) Record(out, RUNHV_REC_SCHEDULER).object(*spec.scheduler);
  if (spec.io_priority != 0) Record(out, RUNHV_REC_IO_PRIORITY).object(spec.io_priority);
  if (spec.personality != 0) Record(out, RUNHV_REC_PERSONALITY).object(spec.personality);
  if (spec.seccomp) {
    Record(out, RUNHV_REC_SECCOMP)
        .object(spec.seccomp->flags)
        .object(std::uint32_t{0})
        .bytes(std::as_bytes(std::span(spec.seccomp->program)));
  }
}

void append_root(std::vector<std::byte>& out, const ContainerSpec& spec) {
  runhv_root root{};
  if (spec.root_read_only) root.flags |= RUNHV_ROOT_READONLY;
  if (spec.root_on_scratch_disk) root.flags |= RUNHV_ROOT_SCRATCH_DISK;
  root.propagation = spec.root_propagation;
  if (spec.root_is_shared) {
    root.flags |= RUNHV_ROOT_SHARE;
    Record(out, RUNHV_REC_ROOT)
        .object(root)
        .string("virtiofs")
        .string("/" + std::to_string(spec.root_share));
    return;
  }
  Record(out, RUNHV_REC_ROOT).object(root).string(spec.root_type).string("/dev/vda");
}

Result<std::vector<std::byte>> checked(std::vector<std::byte> payload, std::size_t more_bytes,
                                       const char* operation) {
  if (payload.size() + more_bytes <= RUNHV_MAX_FRAME_TO_AGENT) return payload;
  return Fail{Error{Code::kInvalidArgument, operation,
                    "it has " + std::to_string(payload.size()) +
                        " bytes of arguments, environment and settings; at most " +
                        std::to_string(RUNHV_MAX_FRAME_TO_AGENT) + " fit"}};
}

template <class T>
std::vector<std::byte> frame_of(std::uint16_t type, const T& payload) {
  return encode_frame(type, object_bytes(payload));
}

void append_network(std::vector<std::byte>& out, std::span<const NetworkMessage> network,
                    const std::optional<runhv_resolver>& resolver) {
  for (const NetworkMessage& each : network) {
    const runhv_netlink head{.interface = each.interface,
                             .index_offset = each.index_offset,
                             .message_bytes = static_cast<std::uint32_t>(each.message.size()),
                             .zero = 0};
    Record(out, RUNHV_REC_NETLINK).object(head).bytes(each.message.bytes()).string(each.what);
  }
  if (resolver) Record(out, RUNHV_REC_RESOLVER).object(*resolver);
}

Fail<Error> no_network(const char* detail) {
  return Fail{Error{Code::kInvalidArgument, "read the network of another process", detail}};
}

Result<NetworkMessage> decode_netlink(std::span<const std::byte> record, std::size_t interfaces) {
  if (record.size() < sizeof(runhv_netlink)) return no_network("a message is cut off");
  const auto interface = load_le<std::uint32_t>(record, offsetof(runhv_netlink, interface));
  const auto index_offset = load_le<std::uint32_t>(record, offsetof(runhv_netlink, index_offset));
  const auto bytes = load_le<std::uint32_t>(record, offsetof(runhv_netlink, message_bytes));
  const auto zero = load_le<std::uint32_t>(record, offsetof(runhv_netlink, zero));
  const std::span<const std::byte> rest = record.subspan(sizeof(runhv_netlink));
  if (interface >= interfaces) return no_network("a message is about no interface of it");
  if (zero != 0) return no_network("a field that must be zero is not");
  if (bytes >= rest.size()) return no_network("a message is cut off");
  auto message = platform::NetlinkMessage::copy_of(rest.first(bytes));
  if (!message) return no_network("a message has a wrong length");
  if (index_offset > bytes - sizeof(std::uint32_t)) {
    return no_network("a message has its interface behind its end");
  }
  const std::span<const std::byte> text = rest.subspan(bytes);
  std::string what(reinterpret_cast<const char*>(text.data()), text.size() - 1);
  if (text.back() != std::byte{0} || what.find('\0') != std::string::npos) {
    return no_network("a message does not say what it does");
  }
  return NetworkMessage{interface, index_offset, *std::move(message), std::move(what)};
}

}  // namespace

Result<std::vector<std::byte>> encode_container(const ContainerSpec& spec,
                                                std::span<const NetworkMessage> network,
                                                const std::optional<runhv_resolver>& resolver) {
  std::vector<std::byte> out;
  append_root(out, spec);
  Record(out, RUNHV_REC_NAMESPACES).object(spec.namespaces);
  if (!spec.uid_map.empty()) {
    Record(out, RUNHV_REC_UID_MAP).bytes(std::as_bytes(std::span(spec.uid_map)));
    Record(out, RUNHV_REC_GID_MAP).bytes(std::as_bytes(std::span(spec.gid_map)));
  }
  if (!spec.hostname.empty()) Record(out, RUNHV_REC_HOSTNAME).string(spec.hostname);
  if (!spec.domainname.empty()) Record(out, RUNHV_REC_DOMAINNAME).string(spec.domainname);
  for (const FileSpec& file : spec.files) {
    Record(out, RUNHV_REC_FILE).object(file.fixed).string(file.path).string(file.content);
  }
  for (const MountSpec& mount : spec.mounts) {
    Record(out, RUNHV_REC_MOUNT)
        .object(mount.fixed)
        .string(mount.destination)
        .string(mount.type)
        .string(mount.source)
        .string(mount.data);
  }
  for (const DeviceSpec& device : spec.devices) {
    Record(out, RUNHV_REC_DEVICE).object(device.fixed).string(device.path);
  }
  append_strings(out, RUNHV_REC_MASKED, spec.masked_paths);
  append_strings(out, RUNHV_REC_READONLY, spec.read_only_paths);
  for (const auto& [name, value] : spec.sysctls) {
    Record(out, RUNHV_REC_SYSCTL).string(name).string(value);
  }
  for (const HookSpec& hook : spec.start_hooks) {
    const runhv_hook head{.timeout_seconds = hook.timeout_seconds,
                          .arguments = static_cast<std::uint32_t>(hook.arguments.size()),
                          .variables = static_cast<std::uint32_t>(hook.environment.size()),
                          .zero = 0};
    Record record(out, RUNHV_REC_HOOK);
    record.object(head).string(spec.hook_state).string(hook.path);
    for (const std::string& each : hook.arguments) record.string(each);
    for (const std::string& each : hook.environment) record.string(each);
  }
  if (spec.time_offsets) Record(out, RUNHV_REC_TIME_OFFSETS).object(*spec.time_offsets);
  if (spec.cgroup) {
    Record(out, RUNHV_REC_CGROUP).bytes({});
    append_cgroup(out, *spec.cgroup);
  }
  append_network(out, network, resolver);
  return checked(std::move(out), kIdentityBytes, "tell the agent about the container");
}

Result<std::vector<std::byte>> encode_network(std::span<const runhv_network_slot> slots,
                                              std::span<const NetworkMessage> network,
                                              const std::optional<runhv_resolver>& resolver) {
  std::vector<std::byte> out;
  for (const runhv_network_slot& slot : slots) Record(out, RUNHV_REC_NETWORK_SLOT).object(slot);
  append_network(out, network, resolver);
  return checked(std::move(out), 0, "tell the agent about the network");
}

Result<std::vector<NetworkMessage>> decode_network(std::span<const std::byte> records,
                                                   std::size_t interfaces) {
  std::vector<NetworkMessage> network;
  while (!records.empty()) {
    if (records.size() < sizeof(runhv_record)) return no_network("a record is cut off");
    const auto tag = load_le<std::uint16_t>(records, offsetof(runhv_record, tag));
    const auto zero = load_le<std::uint16_t>(records, offsetof(runhv_record, zero));
    const auto length = load_le<std::uint32_t>(records, offsetof(runhv_record, length));
    records = records.subspan(sizeof(runhv_record));
    const std::size_t padded =
        (std::size_t{length} + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment;
    if (padded > records.size()) return no_network("a record is cut off");
    if (tag != RUNHV_REC_NETLINK || zero != 0) return no_network("a record is no message");
    RUNHV_TRY_ASSIGN(NetworkMessage message, decode_netlink(records.first(length), interfaces));
    network.push_back(std::move(message));
    records = records.subspan(padded);
  }
  return network;
}

Result<std::vector<std::byte>> encode_process(std::uint32_t process, const ProcessSpec& spec,
                                              const runhv_stdio& stdio, const ProcessPlace& place) {
  const runhv_prepare head{process, 0, place.container,
                           static_cast<std::uint32_t>(place.records.size())};
  const std::span<const std::byte> bytes = object_bytes(head);
  std::vector<std::byte> out(bytes.begin(), bytes.end());
  out.insert(out.end(), place.records.begin(), place.records.end());
  append_process(out, spec);
  if (process != place.container && spec.exec_affinity != 0) {
    Record(out, RUNHV_REC_CPU_AFFINITY).object(spec.exec_affinity);
  }
  Record(out, RUNHV_REC_STDIO).object(stdio);
  return checked(std::move(out), kDescriptorsBytes, "tell the agent about the process");
}

Result<std::vector<std::byte>> encode_resources(std::uint32_t container,
                                                const CgroupSettings& settings) {
  const runhv_resources head{container, 0};
  const std::span<const std::byte> bytes = object_bytes(head);
  std::vector<std::byte> out(bytes.begin(), bytes.end());
  append_cgroup(out, settings);
  RUNHV_TRY_ASSIGN(out, checked(std::move(out), 0, "tell the agent about resources"));
  return encode_frame(RUNHV_MSG_RESOURCES, out);
}

void append_identity(std::vector<std::byte>& payload, std::uint64_t realtime_ns,
                     std::span<const std::byte, kEntropyBytes> entropy) {
  Record(payload, RUNHV_REC_CLOCK).object(realtime_ns);
  Record(payload, RUNHV_REC_ENTROPY).bytes(entropy);
}

std::vector<std::byte> encode_frame(std::uint16_t type, std::span<const std::byte> payload) {
  RUNHV_CHECK(payload.size() <= RUNHV_MAX_FRAME_TO_AGENT);
  std::vector<std::byte> frame(sizeof(runhv_frame));
  store_le<std::uint32_t>(std::span(frame), offsetof(runhv_frame, length),
                          static_cast<std::uint32_t>(payload.size()));
  store_le<std::uint16_t>(std::span(frame), offsetof(runhv_frame, type), type);
  frame.insert(frame.end(), payload.begin(), payload.end());
  return frame;
}

void add_execute(std::vector<std::byte>& prepare_payload) {
  store_le<std::uint32_t>(std::span(prepare_payload), offsetof(runhv_prepare, flags),
                          RUNHV_PREPARE_EXECUTE);
}

void append_descriptor(std::vector<std::byte>& prepare_payload,
                       const runhv_descriptor& descriptor) {
  Record(prepare_payload, RUNHV_REC_DESCRIPTOR).object(descriptor);
}

std::vector<std::byte> encode_execute(std::uint32_t process) {
  return frame_of(RUNHV_MSG_EXECUTE, runhv_process_id{process, 0});
}

std::vector<std::byte> encode_signal(std::uint32_t process, int signal) {
  return frame_of(RUNHV_MSG_SIGNAL, runhv_signal{process, static_cast<std::uint32_t>(signal)});
}

std::vector<std::byte> encode_resize(std::uint32_t process, std::uint16_t columns,
                                     std::uint16_t rows) {
  return frame_of(RUNHV_MSG_RESIZE, runhv_resize{process, columns, rows});
}

}  // namespace runhv::container
