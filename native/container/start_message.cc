#include "container/start_message.h"

#include <string_view>
#include <type_traits>

#include "base/bytes.h"
#include "base/check.h"

namespace runhv {
namespace {

constexpr std::size_t kRecordAlignment = 8;
constexpr std::size_t kIdentityBytes =
    2 * sizeof(runhv_record) + sizeof(std::uint64_t) + kStartEntropyBytes;

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

void append_process(std::vector<std::byte>& out, const OciConfig& config) {
  append_strings(out, RUNHV_REC_ARG, config.arguments);
  append_strings(out, RUNHV_REC_ENV, config.environment);
  Record(out, RUNHV_REC_CWD).string(config.cwd);
  Record(out, RUNHV_REC_USER).object(config.user);
  if (!config.groups.empty()) {
    Record(out, RUNHV_REC_GROUPS).bytes(std::as_bytes(std::span(config.groups)));
  }
  if (config.capabilities) Record(out, RUNHV_REC_CAPS).object(*config.capabilities);
  for (const runhv_rlimit& limit : config.rlimits) Record(out, RUNHV_REC_RLIMIT).object(limit);
  std::uint32_t flags = 0;
  if (config.no_new_privileges) flags |= RUNHV_START_NO_NEW_PRIVILEGES;
  if (config.has_umask) flags |= RUNHV_START_UMASK;
  Record(out, RUNHV_REC_FLAGS).object(flags);
  if (config.oom_score_adj) Record(out, RUNHV_REC_OOM_SCORE_ADJ).object(*config.oom_score_adj);
}

void append_root(std::vector<std::byte>& out, const OciConfig& config) {
  runhv_root root{};
  if (config.root_read_only) root.flags |= RUNHV_ROOT_READONLY;
  if (config.scratch_bytes != 0) root.flags |= RUNHV_ROOT_SCRATCH_DISK;
  root.propagation = config.root_propagation;
  Record(out, RUNHV_REC_ROOT).object(root).string(config.root_type).string("/dev/vda");
}

void append_surroundings(std::vector<std::byte>& out, const OciConfig& config) {
  Record(out, RUNHV_REC_NAMESPACES).object(config.namespaces);
  if (!config.hostname.empty()) Record(out, RUNHV_REC_HOSTNAME).string(config.hostname);
  if (!config.domainname.empty()) Record(out, RUNHV_REC_DOMAINNAME).string(config.domainname);
  for (const OciMount& mount : config.mounts) {
    Record(out, RUNHV_REC_MOUNT)
        .object(mount.fixed)
        .string(mount.destination)
        .string(mount.type)
        .string(mount.source)
        .string(mount.data);
  }
  for (const OciDevice& device : config.devices) {
    Record(out, RUNHV_REC_DEVICE).object(device.fixed).string(device.path);
  }
  append_strings(out, RUNHV_REC_MASKED, config.masked_paths);
  append_strings(out, RUNHV_REC_READONLY, config.read_only_paths);
  for (const auto& [name, value] : config.sysctls) {
    Record(out, RUNHV_REC_SYSCTL).string(name).string(value);
  }
  if (config.seccomp) {
    Record(out, RUNHV_REC_SECCOMP)
        .object(config.seccomp->flags)
        .object(std::uint32_t{0})
        .bytes(std::as_bytes(std::span(config.seccomp->program)));
  }
}

}  // namespace

Result<std::vector<std::byte>> encode_start(const OciConfig& config, const runhv_stdio& ports) {
  std::vector<std::byte> out;
  append_process(out, config);
  append_root(out, config);
  append_surroundings(out, config);
  Record(out, RUNHV_REC_STDIO).object(ports);
  if (out.size() + kIdentityBytes > RUNHV_MAX_FRAME_TO_AGENT) {
    return Fail{Error{Code::kInvalidArgument, "tell the agent about the container",
                      "config.json asks for " + std::to_string(out.size()) +
                          " bytes of arguments, environment and settings; at most " +
                          std::to_string(RUNHV_MAX_FRAME_TO_AGENT) + " fit"}};
  }
  return out;
}

void append_identity(std::vector<std::byte>& records, std::uint64_t realtime_ns,
                     std::span<const std::byte, kStartEntropyBytes> entropy) {
  Record(records, RUNHV_REC_CLOCK).object(realtime_ns);
  Record(records, RUNHV_REC_ENTROPY).bytes(entropy);
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

}  // namespace runhv
