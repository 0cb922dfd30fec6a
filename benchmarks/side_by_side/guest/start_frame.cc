// start_frame BUNDLE: writes to stdout what runhv-vmm tells the agent about that bundle's
// container, with stdout and stderr connected.

#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "container/agent_request.h"
#include "container/bundle.h"
#include "platform/clock.h"
#include "platform/random.h"

namespace runhv::container {
namespace {

Result<std::vector<std::byte>> start_frames(const std::string& folder) {
  RUNHV_TRY_ASSIGN(const Bundle bundle, read_bundle(folder));
  RUNHV_TRY_ASSIGN(std::vector<std::byte> container, encode_container(bundle.container));
  std::array<std::byte, kEntropyBytes> entropy;
  platform::fill_random(entropy);
  append_identity(container, platform::realtime_ns(), entropy);
  const runhv_stdio ports = {0, RUNHV_FIRST_STREAM_PORT + 1, RUNHV_FIRST_STREAM_PORT + 2, 0, 0, 0,
                             0};
  RUNHV_TRY_ASSIGN(std::vector<std::byte> process, encode_process(0, bundle.process, ports));
  add_execute(process);
  std::vector<std::byte> frames = encode_frame(RUNHV_MSG_CONTAINER, container);
  const std::vector<std::byte> prepare = encode_frame(RUNHV_MSG_PREPARE, process);
  frames.insert(frames.end(), prepare.begin(), prepare.end());
  return frames;
}

int write_start_frames(const std::string& bundle) {
  const auto frames = start_frames(bundle);
  if (!frames) {
    std::fprintf(stderr, "start_frame: %s\n", to_string(frames.error()).c_str());
    return 1;
  }
  const std::size_t written = std::fwrite(frames->data(), 1, frames->size(), stdout);
  return written == frames->size() && std::fflush(stdout) == 0 ? 0 : 1;
}

}  // namespace
}  // namespace runhv::container

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: start_frame BUNDLE\n", stderr);
    return 2;
  }
  return runhv::container::write_start_frames(argv[1]);
}
