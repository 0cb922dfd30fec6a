// What the host sends to the agent: frames, and in CONTAINER, PREPARE and RESOURCES every record.
// The parser must end, stay inside the frame (the sanitizers watch) and accept only what it can
// decode again.

#include <string.h>

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "frame.h"
#include "request.h"
#include "testing/fuzz.h"

namespace runhv {
namespace {

using namespace agent;  // NOLINT(google-build-using-namespace): what is tested here

template <typename Request>
bool accepts(std::span<const std::byte> records, Request& request) {
  Text<512> error;
  const bool accepted = parse(records, request, error);
  RUNHV_CHECK(accepted == error.view().empty());
  return accepted;
}

bool is_cgroup_file(const Record& record) {
  CgroupFileRecord file;
  return decode(record, file) && file.name[0] != '\0' && strchr(file.name, '/') == nullptr &&
         strlen(file.name) + strlen(file.value) + 2 == record.data.size();
}

bool is_hook(const Record& record) {
  HookRecord hook;
  if (!decode(record, hook) || hook.path[0] != '/') return false;
  const char* text = hook.strings;
  for (std::uint64_t i = 0; i < std::uint64_t{hook.how.arguments} + hook.how.variables; ++i) {
    text += strlen(text) + 1;
  }
  return text == record.text() + record.data.size();
}

void check_container(std::span<const std::byte> records) {
  ContainerRequest request;
  if (!accepts(records, request)) return;
  std::size_t length = strlen(request.root_type) + strlen(request.root_device);
  if (request.hostname != nullptr) length += strlen(request.hostname);
  if (request.domainname != nullptr) length += strlen(request.domainname);
  RUNHV_CHECK(for_each(records, RUNHV_REC_MOUNT, [&](const Record& record) {
    MountRecord mount;
    if (!decode(record, mount)) return false;
    length +=
        strlen(mount.destination) + strlen(mount.type) + strlen(mount.source) + strlen(mount.data);
    return true;
  }));
  RUNHV_CHECK(for_each(records, RUNHV_REC_DEVICE, [&](const Record& record) {
    DeviceRecord device;
    return decode(record, device) && device.path[0] == '/';
  }));
  RUNHV_CHECK(for_each(records, RUNHV_REC_FILE, [&](const Record& record) {
    FileRecord file;
    if (!decode(record, file)) return false;
    length += strlen(file.content);
    return file.path[0] == '/';
  }));
  RUNHV_CHECK(for_each(records, RUNHV_REC_SYSCTL, [&](const Record& record) {
    SysctlRecord sysctl;
    return decode(record, sysctl) && strstr(sysctl.name, "..") == nullptr;
  }));
  RUNHV_CHECK(for_each(records, RUNHV_REC_CGROUP_FILE, is_cgroup_file));
  RUNHV_CHECK(for_each(records, RUNHV_REC_HOOK, is_hook));
  RUNHV_CHECK(for_each(records, RUNHV_REC_NETLINK, [&](const Record& record) {
    NetlinkRecord netlink;
    if (!decode(record, netlink)) return false;
    length += strlen(netlink.what) + netlink.message.size();
    return netlink.head.interface < RUNHV_MAX_NETWORKS &&
           netlink.head.index_offset + sizeof(std::uint32_t) <= netlink.message.size();
  }));
  RUNHV_CHECK(length <= records.size());
}

void check_resources(std::span<const std::byte> records) {
  ResourcesRequest request;
  if (!accepts(records, request)) return;
  RUNHV_CHECK(for_each(request.records, RUNHV_REC_CGROUP_FILE, is_cgroup_file));
  RUNHV_CHECK(request.device_rule_count <= RUNHV_MAX_DEVICE_RULES);
}

void check_process(std::span<const std::byte> records) {
  ProcessRequest request;
  if (!accepts(records, request)) return;
  std::size_t length = strlen(request.cwd);
  std::size_t arguments = 0;
  RUNHV_CHECK(for_each(records, RUNHV_REC_ARG, [&](const Record& record) {
    length += strlen(record.text());
    ++arguments;
    return true;
  }));
  RUNHV_CHECK(arguments == request.argument_count);
  RUNHV_CHECK(for_each(records, RUNHV_REC_RLIMIT, [&](const Record& record) {
    runhv_rlimit limit;
    return decode(record, limit) && limit.resource < 16;
  }));
  RUNHV_CHECK(length <= records.size() + 1);  // the working directory may be the default, "/"
  RUNHV_CHECK(request.seccomp_filter.size() % 8 == 0);
}

void check_network(std::span<const std::byte> records) {
  NetworkRequest request;
  if (!accepts(records, request)) return;
  RUNHV_CHECK(for_each(records, RUNHV_REC_NETWORK_SLOT, [&](const Record& record) {
    runhv_network_slot slot;
    return decode(record, slot) && slot.interface < RUNHV_MAX_NETWORKS;
  }));
}

}  // namespace

}  // namespace runhv

void runhv::testing::fuzz(std::span<const std::byte> bytes) {
  FuzzInput input(bytes);
  static std::vector<std::byte> buffer(FrameReader::kRoom);
  FrameReader reader(buffer.data());
  Frame frame;
  while (!input.empty()) {
    const auto piece = input.take_bytes(input.take<std::uint16_t>() % 2048 + 1);
    RUNHV_CHECK(piece.size() <= reader.room().size());
    std::copy(piece.begin(), piece.end(), reader.room().begin());
    reader.received(piece.size());
    FrameReader::Next next;
    while ((next = reader.next(frame)) == FrameReader::Next::kFrame) {
      // A copy, for an end that sanitizers see.
      const std::vector<std::byte> exact(frame.payload.begin(), frame.payload.end());
      if (frame.type == RUNHV_MSG_CONTAINER) check_container(exact);
      if (frame.type == RUNHV_MSG_RESOURCES && exact.size() >= sizeof(runhv_resources)) {
        check_resources(std::span<const std::byte>(exact).subspan(sizeof(runhv_resources)));
      }
      if (frame.type == RUNHV_MSG_NETWORK) check_network(exact);
      if (frame.type == RUNHV_MSG_PREPARE && exact.size() >= sizeof(runhv_prepare)) {
        runhv_prepare head;
        memcpy(&head, exact.data(), sizeof head);
        const auto records = std::span<const std::byte>(exact).subspan(sizeof head);
        const std::size_t of_container =
            std::min<std::size_t>(head.container_bytes, records.size());
        if (of_container != 0) check_container(records.first(of_container));
        check_process(records.subspan(of_container));
      }
    }
    if (next == FrameReader::Next::kBroken) return;
  }
}
