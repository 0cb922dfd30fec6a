#include "devices/net/net.h"

#include <algorithm>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/check.h"
#include "devices/virtio/mmio_transport.h"
#include "testing/guest.h"
#include "testing/net_backend.h"
#include "testing/virtio_driver.h"
#include "testing/virtio_fuzz.h"

namespace runhv::devices {
namespace {

using testing::FuzzInput;

constexpr Gpa kRings{1 << 20};
constexpr Gpa kFrame{3 << 20};
constexpr Gpa kRoom{4 << 20};

// A header that is nearly right.
void make_frame(FuzzInput& input, std::span<std::byte> out) {
  if (out.size() < kNetHeaderBytes) return;
  const std::uint8_t odd = input.byte();
  const auto odd_or = [&](std::uint8_t bit, std::uint16_t usual) {
    return (odd >> bit & 1) != 0 ? input.take<std::uint16_t>() : usual;
  };
  constexpr std::uint8_t kSegmentation[] = {0, 1, 4, 3, 5, 0x81};
  store_le<std::uint8_t>(out, 0, static_cast<std::uint8_t>(odd_or(0, 1)));
  store_le<std::uint8_t>(out, 1, kSegmentation[input.below(6)]);
  store_le<std::uint16_t>(out, 2, odd_or(1, 54));
  store_le<std::uint16_t>(out, 4, odd_or(2, 1448));
  store_le<std::uint16_t>(out, 6, odd_or(3, 34));
  store_le<std::uint16_t>(out, 8, odd_or(4, 16));
}

// What the seam promises to every backend.
void check_sent(const std::string& frame) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(frame));
  RUNHV_CHECK(bytes.size() >= kNetHeaderBytes + 14 &&
              bytes.size() <= kNetHeaderBytes + kMaxFrameBytes);
  const auto flags = load_le<std::uint8_t>(bytes, 0);
  const auto segmentation = load_le<std::uint8_t>(bytes, 1);
  const std::size_t start = load_le<std::uint16_t>(bytes, 6);
  const std::size_t offset = load_le<std::uint16_t>(bytes, 8);
  RUNHV_CHECK(flags <= 1 && (segmentation == 0 || segmentation == 1 || segmentation == 4));
  RUNHV_CHECK(load_le<std::uint16_t>(bytes, 2) == 0);
  RUNHV_CHECK(flags == 0 || start + offset + 2 <= bytes.size() - kNetHeaderBytes);
  RUNHV_CHECK(segmentation == 0 || (flags == 1 && load_le<std::uint16_t>(bytes, 4) >= 8));
}

}  // namespace
}  // namespace runhv::devices

void runhv::testing::fuzz(std::span<const std::byte> bytes) {
  FuzzInput input(bytes);
  testing::FakeNetBackend backend;
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  const auto memory = testing::make_guest_memory();
  devices::MmioTransport transport(
      std::make_unique<devices::NetDevice>(backend, devices::MacAddress{2}, 1500), memory, irq,
      later);
  const auto check_all = [&] {
    for (const std::string& frame : backend.sent) devices::check_sent(frame);
    backend.sent.clear();
  };

  testing::HostileDriver{.make_request = devices::make_frame,
                         .something_else =
                             [&](FuzzInput& more) {
                               check_all();
                               switch (more.below(3)) {
                                 case 0:
                                   backend.to_guest.emplace_back(
                                       std::max<std::size_t>(devices::kNetHeaderBytes + 14,
                                                             more.take<std::uint16_t>()),
                                       'f');
                                   break;
                                 case 1:
                                   backend.takes = more.below(4);
                                   break;
                                 default:
                                   later.run_all();
                               }
                               backend.ready();
                             }}
      .run(input, transport, *memory);
  check_all();

  transport.resume();
  testing::VirtioDriver driver(transport, *memory, devices::kRings);
  RUNHV_CHECK(driver.start(UINT64_MAX));
  backend.takes = SIZE_MAX;
  backend.to_guest.clear();
  backend.sent.clear();
  testing::put(*memory, devices::kFrame, std::string(devices::kNetHeaderBytes + 60, '\0'));
  const testing::Buffer frame{devices::kFrame, devices::kNetHeaderBytes + 60, false};
  driver.queue(1).add({&frame, 1});
  driver.queue(1).kick();
  RUNHV_CHECK(driver.queue(1).take_used() && backend.sent.size() == 1);
  const testing::Buffer room{devices::kRoom, 128 * 1024, true};
  driver.queue(0).add({&room, 1});
  driver.queue(0).kick();
  backend.to_guest.emplace_back(devices::kNetHeaderBytes + 60, 'f');
  backend.ready();
  const auto used = driver.queue(0).take_used();
  RUNHV_CHECK(used && used->written_bytes == devices::kNetHeaderBytes + 60);
}
