// start_frame BUNDLE: writes to stdout what runhv-vmm tells the agent about that bundle's
// container, with stdout and stderr connected.

#include <array>
#include <cstdio>
#include <string>
#include <string_view>

#include "container/oci_config.h"
#include "container/start_message.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/random.h"

namespace runhv {
namespace {

Result<std::vector<std::byte>> start_frame(const std::string& bundle) {
  const std::string path = bundle + "/config.json";
  RUNHV_TRY_ASSIGN(const std::vector<std::byte> text, read_file(path, kMaxConfigBytes));
  RUNHV_TRY_ASSIGN(
      const OciConfig config,
      parse_oci_config({reinterpret_cast<const char*>(text.data()), text.size()}, "read " + path));
  const runhv_stdio ports = {0, RUNHV_FIRST_STREAM_PORT + 1, RUNHV_FIRST_STREAM_PORT + 2, 0};
  RUNHV_TRY_ASSIGN(std::vector<std::byte> records, encode_start(config, ports));
  std::array<std::byte, kStartEntropyBytes> entropy;
  fill_random(entropy);
  append_identity(records, realtime_ns(), entropy);
  return encode_frame(RUNHV_MSG_START, records);
}

int write_start_frame(const std::string& bundle) {
  const auto frame = start_frame(bundle);
  if (!frame) {
    std::fprintf(stderr, "start_frame: %s\n", to_string(frame.error()).c_str());
    return 1;
  }
  const std::size_t written = std::fwrite(frame->data(), 1, frame->size(), stdout);
  return written == frame->size() && std::fflush(stdout) == 0 ? 0 : 1;
}

}  // namespace
}  // namespace runhv

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: start_frame BUNDLE\n", stderr);
    return 2;
  }
  return runhv::write_start_frame(argv[1]);
}
