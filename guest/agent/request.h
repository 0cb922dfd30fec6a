// RUNHV_MSG_CONTAINER and RUNHV_MSG_PREPARE: what the container and a process of it are, checked
// once, then read in place.
//
// The records stay where they were put; strings and tables are pointers into them. The host is
// trusted, but a mistake of the host must show as an error and not as a container that is another
// one than asked for: so every length, NUL, padding and range is checked before anything is done.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runhv_agent.h"
#include "text.h"

namespace runhv::agent {

struct Record {
  std::uint16_t tag;
  std::span<const std::byte> data;  // without header and padding

  const char* text() const { return reinterpret_cast<const char*>(data.data()); }
};

// Steps through records. `next` is false at the end and at a record that breaks the form: then
// `broken` names what is wrong.
class RecordReader {
 public:
  explicit RecordReader(std::span<const std::byte> records) : rest_(records) {}
  bool next(Record& out);
  const char* broken() const { return broken_; }

 private:
  std::span<const std::byte> rest_;
  const char* broken_ = nullptr;
};

struct MountRecord {
  runhv_mount how;
  const char* destination;
  const char* type;
  const char* source;
  const char* data;
};
struct DeviceRecord {
  runhv_device what;
  const char* path;
};
struct SysctlRecord {
  const char* name;
  const char* value;
};
bool decode(const Record& record, MountRecord& out);
bool decode(const Record& record, DeviceRecord& out);
bool decode(const Record& record, SysctlRecord& out);
bool decode(const Record& record, runhv_rlimit& out);

struct HookRecord {
  runhv_hook how;
  const char* state;
  const char* path;
  const char* strings;  // its arguments and variables, one behind the other
};
bool decode(const Record& record, HookRecord& out);

// A file of the container's cgroup.
struct CgroupFileRecord {
  const char* name;
  const char* value;
};
bool decode(const Record& record, CgroupFileRecord& out);
bool decode(const Record& record, runhv_device_rule& out);

struct FileRecord {
  runhv_file what;
  const char* path;
  const char* content;  // of a link: its target
};
bool decode(const Record& record, FileRecord& out);

struct NetlinkRecord {
  runhv_netlink head;
  std::span<const std::byte> message;
  const char* what;
};
bool decode(const Record& record, NetlinkRecord& out);

bool decode(const Record& record, runhv_network_slot& out);

struct ContainerRequest {
  std::span<const std::byte> records;
  std::size_t sysctl_count = 0;
  std::size_t netlink_count = 0;
  bool has_shares = false;
  bool has_resolver = false;
  runhv_resolver resolver = {};
  bool has_cgroup = false;
  std::size_t device_rule_count = 0;
  bool has_time_offsets = false;
  runhv_time_offsets time_offsets = {};
  std::uint32_t namespaces = 0;
  std::span<const std::byte> uid_map;  // runhv_id_range each, of the user namespace
  std::span<const std::byte> gid_map;
  const char* hostname = nullptr;
  const char* domainname = nullptr;
  runhv_root root = {};
  const char* root_type = nullptr;
  const char* root_device = nullptr;
  std::uint64_t clock_ns = 0;          // 0 = not given
  std::span<const std::byte> entropy;  // empty = not given
};

struct ProcessRequest {
  std::span<const std::byte> records;
  std::size_t argument_count = 0;
  std::size_t environment_count = 0;
  const char* cwd = "/";
  runhv_user user = {};
  std::span<const std::byte> groups;  // u32 each
  runhv_caps caps = {};
  std::uint32_t flags = 0;
  std::uint32_t seccomp_flags = 0;
  std::span<const std::byte> seccomp_filter;  // struct sock_filter each; empty = none
  runhv_stdio stdio = {};
  std::size_t descriptor_count = 0;
  runhv_descriptor descriptors[RUNHV_MAX_DESCRIPTORS] = {};  // of 3, 4, …
  bool has_oom_score_adj = false;
  std::int32_t oom_score_adj = 0;
  bool has_scheduler = false;
  runhv_scheduler scheduler = {};
  std::uint32_t io_priority = 0;   // 0 = as it is
  std::uint64_t cpu_affinity = 0;  // 0 = as it is
  std::uint32_t personality = 0;

  std::span<const runhv_descriptor> more_descriptors() const {
    return {descriptors, descriptor_count};
  }
  bool is_archive() const { return (flags & RUNHV_PROCESS_WRITES_ARCHIVE) != 0; }
  bool wants_terminal() const { return (stdio.flags & RUNHV_STDIO_TERMINAL) != 0; }
};

struct ResourcesRequest {
  std::span<const std::byte> records;
  std::size_t device_rule_count = 0;
};

struct NetworkRequest {
  std::span<const std::byte> records;
  bool has_resolver = false;
  runhv_resolver resolver = {};
};

// False: `error` says which record is wrong and how.
bool parse(std::span<const std::byte> records, ContainerRequest& out, Text<512>& error);
bool parse(std::span<const std::byte> records, ProcessRequest& out, Text<512>& error);
bool parse(std::span<const std::byte> records, ResourcesRequest& out, Text<512>& error);
bool parse(std::span<const std::byte> records, NetworkRequest& out, Text<512>& error);

// Calls `act(record)` for each record of `tag`, in order, until it returns false.
template <typename Act>
bool for_each(std::span<const std::byte> records, std::uint16_t tag, Act act) {
  RecordReader reader(records);
  Record record;
  while (reader.next(record)) {
    if (record.tag == tag && !act(record)) return false;
  }
  return true;
}

}  // namespace runhv::agent
