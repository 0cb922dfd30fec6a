// What the host sends to the agent: frames, and in START every record. The parser must end, stay
// inside the frame (the sanitizers watch) and accept only what it can decode again.

#include <string.h>

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "frame.h"
#include "start.h"
#include "testing/fuzz.h"

namespace runhv {
namespace {

using namespace agent;  // NOLINT(google-build-using-namespace): what is tested here

void check_start(std::span<const std::byte> payload) {
  const std::vector<std::byte> exact(payload.begin(), payload.end());  // an end that sanitizers see
  StartRequest start;
  Text<512> error;
  if (!parse_start(exact, start, error)) {
    RUNHV_CHECK(!error.view().empty());
    return;
  }
  std::size_t length = strlen(start.root_type) + strlen(start.root_device) + strlen(start.cwd);
  if (start.hostname != nullptr) length += strlen(start.hostname);
  if (start.domainname != nullptr) length += strlen(start.domainname);
  std::size_t arguments = 0;
  const auto count_text = [&](const Record& record) {
    length += strlen(record.text());
    ++arguments;
    return true;
  };
  RUNHV_CHECK(for_each(start, RUNHV_REC_ARG, count_text) && arguments == start.argument_count);
  RUNHV_CHECK(for_each(start, RUNHV_REC_MOUNT, [&](const Record& record) {
    MountRecord mount;
    if (!decode(record, mount)) return false;
    length +=
        strlen(mount.destination) + strlen(mount.type) + strlen(mount.source) + strlen(mount.data);
    return true;
  }));
  RUNHV_CHECK(for_each(start, RUNHV_REC_DEVICE, [&](const Record& record) {
    DeviceRecord device;
    return decode(record, device) && device.path[0] == '/';
  }));
  RUNHV_CHECK(for_each(start, RUNHV_REC_SYSCTL, [&](const Record& record) {
    SysctlRecord sysctl;
    return decode(record, sysctl) && strstr(sysctl.name, "..") == nullptr;
  }));
  RUNHV_CHECK(for_each(start, RUNHV_REC_RLIMIT, [&](const Record& record) {
    runhv_rlimit limit;
    return decode(record, limit) && limit.resource < 16;
  }));
  RUNHV_CHECK(length <= exact.size() + 1);  // the working directory may be the default, "/"
  RUNHV_CHECK(start.seccomp_filter.size() % 8 == 0);
}

}  // namespace

void fuzz(std::span<const std::byte> bytes) {
  testing::FuzzInput input(bytes);
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
      if (frame.type == RUNHV_MSG_START) check_start(frame.payload);
    }
    if (next == FrameReader::Next::kBroken) return;
  }
}

}  // namespace runhv
