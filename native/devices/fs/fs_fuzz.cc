#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "devices/fs/file_window.h"
#include "devices/fs/fs.h"
#include "devices/fs/fuse_protocol.h"
#include "testing/fuse_guest.h"
#include "testing/guest.h"
#include "testing/virtio_driver.h"
#include "testing/virtio_fuzz.h"

namespace runhv::devices {
namespace {

namespace fs = std::filesystem;
using fuse::Opcode;

constexpr std::size_t kLargeBytes = 100'000;
constexpr std::uint64_t kWindowBytes = 4 * FileWindow::kRangeBytes;

constexpr Gpa kRings{1 << 20};
constexpr Gpa kIn{3 << 20};
constexpr Gpa kOut{4 << 20};

constexpr std::array kNames{"file",
                            "0",
                            "1",
                            "sub",
                            "link",
                            "..",
                            ".",
                            "new",
                            "a/b",
                            "",
                            "pipe",
                            "user.x",
                            "system.posix_acl_access"};

// Two shares of one tree, the second read-only, beside a file that no guest may reach.
class Tree {
 public:
  Tree() {
    base_ = fs::temp_directory_path() / ("runhv-fuzz-" + std::to_string(std::random_device{}()));
    fs::create_directories(base_ / "shared/sub");
    fs::create_directories(base_ / "kept");
    write(base_ / "outside");
    write(base_ / "shared/file");
    write(base_ / "kept/file");
    // So large that it can be shown in the window.
    fs::resize_file(base_ / "shared/file", kLargeBytes);
    fs::resize_file(base_ / "kept/file", kLargeBytes);
    fs::create_symlink("../outside", base_ / "shared/link");
    fs::create_symlink("../shared", base_ / "kept/link");
  }
  ~Tree() { fs::remove_all(base_); }

  std::vector<Share> shares() const {
    std::vector<Share> out(2);
    auto first = platform::FileNode::open(base_ / "shared");
    auto second = platform::FileNode::open(base_ / "kept");
    RUNHV_CHECK(first && second);
    out[0].top = *std::move(first);
    out[1] = {*std::move(second), true, false};
    return out;
  }

  // What lies outside, and what is read-only, is as it was.
  void check() const {
    RUNHV_CHECK(read(base_ / "outside") == "content");
    std::string kept = "content";
    kept.resize(kLargeBytes);
    RUNHV_CHECK(read(base_ / "kept/file") == kept);
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(base_)) count += entry.exists() ? 1 : 0;
    RUNHV_CHECK(count == 3);
    count = 0;
    for (const auto& entry : fs::directory_iterator(base_ / "kept")) {
      count += entry.path().empty() ? 0 : 1;
    }
    RUNHV_CHECK(count == 2);
  }

 private:
  static void write(const fs::path& path) { std::ofstream(path) << "content"; }
  static std::string read(const fs::path& path) {
    std::ostringstream out;
    out << std::ifstream(path).rdbuf();
    return out.str();
  }
  fs::path base_;
};

// Mostly right: a header whose length fits, a small id, a name that is there.
void make_request(testing::FuzzInput& input, std::span<std::byte> out) {
  if (out.size() < fuse::kInHeaderBytes) return;
  // Sizes that the host's disk can bear, or none can.
  const auto small = [&] {
    const std::uint8_t number = input.byte();
    if (number < 0xe8) return std::uint64_t{number} % 12;
    if (number < 0xf8) return number % 6 * FileWindow::kRangeBytes;  // some not in the window
    const auto large = input.take<std::uint64_t>();
    return number < 0xfc ? large & 0xfffff : large | std::uint64_t{1} << 62;
  };
  testing::FuseBody body;
  for (std::uint32_t words = input.below(8); words > 0; --words) {
    if (input.below(2) == 0) {
      body.u32(static_cast<std::uint32_t>(small()));
    } else {
      body.u64(small());
    }
  }
  for (std::uint32_t names = input.below(3); names > 0; --names) {
    body.name(kNames[input.below(kNames.size())]);
  }
  const auto opcode = static_cast<Opcode>(input.below(56));
  const auto request = testing::fuse_request(opcode, small(), body.written());
  std::copy_n(request.begin(), std::min(request.size(), out.size()), out.begin());
  if (input.below(4) != 0) store_le(out, 0, static_cast<std::uint32_t>(out.size()));
}

// The bytes that were written of a right request's answer.
std::uint32_t ask(testing::VirtioDriver& driver, const memory::GuestMemory& memory,
                  testing::HeldJobs& jobs, std::span<const std::byte> request) {
  testing::put(memory, kIn, request);
  const std::array<testing::Buffer, 2> buffers{
      testing::Buffer{kIn, static_cast<std::uint32_t>(request.size()), false},
      testing::Buffer{kOut, 4096, true}};
  driver.queue(1).add(buffers);
  driver.queue(1).kick();
  jobs.run_all();
  const auto used = driver.queue(1).take_used();
  RUNHV_CHECK(used);
  return used->written_bytes;
}

// As a processor of the guest does, whatever is shown there, or was cut short.
void touch_window(const memory::GuestMemory& memory) {
  const auto bytes = memory.write_view(testing::kTestWindow, kWindowBytes);
  for (std::size_t at = 0; at < bytes->size(); at += FileWindow::kRangeBytes / 8) {
    (*bytes)[at] ^= std::byte{1};
  }
}

}  // namespace
}  // namespace runhv::devices

void runhv::testing::fuzz(std::span<const std::byte> bytes) {
  testing::FuzzInput input(bytes);
  const devices::Tree tree;
  testing::HeldJobs jobs;
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  const auto memory = testing::make_guest_memory(nullptr, devices::kWindowBytes);
  auto window = devices::FileWindow::create(memory);
  RUNHV_CHECK(window && *window != nullptr);
  auto device = devices::FsDevice::create(tree.shares(), jobs, *std::move(window));
  RUNHV_CHECK(device);
  devices::MmioTransport transport(*std::move(device), memory, irq, later);
  testing::VirtioDriver driver(transport, *memory, devices::kRings);
  const auto init =
      testing::fuse_request(devices::fuse::Opcode::kInit, 0, testing::fuse_init_body().written());
  if (input.below(4) != 0) {
    RUNHV_CHECK(driver.start(UINT64_MAX));
    RUNHV_CHECK(devices::ask(driver, *memory, jobs, init) == 80);
  }

  testing::HostileDriver{.make_request = devices::make_request,
                         .something_else =
                             [&](testing::FuzzInput&) {
                               transport.resume();  // a job would wait for it
                               jobs.run_one();
                               devices::touch_window(*memory);
                             }}
      .run(input, transport, *memory);
  jobs.run_all();
  tree.check();

  RUNHV_CHECK(driver.start(UINT64_MAX));
  RUNHV_CHECK(devices::ask(driver, *memory, jobs, init) == 80);
  const auto look_up = testing::fuse_request(devices::fuse::Opcode::kLookup, 1,
                                             testing::FuseBody().name("1").written());
  RUNHV_CHECK(devices::ask(driver, *memory, jobs, look_up) == 16 + 128);
}
