#include "gtest/gtest.h"
#include "testing/virtio_fuzz.h"
#include "testing/vsock_guest.h"

namespace runhv {
namespace {

using testing::ScriptedService;
using testing::VsockGuest;

void make_packet(testing::SeededRandom& random, std::span<std::byte> out) {
  if (out.size() < kVsockHeaderBytes) return;
  const VsockHeader header{
      .source_cid = random.one_in(20) ? random.next() : 3,
      .destination_cid = random.one_in(20) ? random.next() : 2,
      .source_port = static_cast<std::uint32_t>(random.below(80)),
      .destination_port = static_cast<std::uint32_t>(9 + random.below(2)),
      .payload_bytes = static_cast<std::uint32_t>(
          random.one_in(20) ? random.next() : random.below(out.size() - kVsockHeaderBytes + 1)),
      .type = static_cast<std::uint16_t>(random.one_in(20) ? random.next() : 1),
      .op = static_cast<std::uint16_t>(random.below(9)),
      .flags = static_cast<std::uint32_t>(random.below(4)),
      .buffer_bytes = static_cast<std::uint32_t>(random.one_in(2) ? random.next() : 65536),
      .forwarded_bytes = static_cast<std::uint32_t>(random.one_in(4) ? random.next() : 0)};
  const auto bytes = store_vsock_header(header);
  std::copy(bytes.begin(), bytes.end(), out.begin());
}

TEST(VsockFuzz, SurvivesAHostileDriver) {
  std::size_t connections = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    ScriptedService service;
    service.next.to_send = std::string(100000, 's');
    service.next.takes = seed % 3 == 0 ? 5000 : SIZE_MAX;
    service.next.send_finished = seed % 2 == 0;
    VsockGuest guest(service);

    ASSERT_TRUE(testing::fuzz_device(guest.transport, *guest.memory, seed, 1500, make_packet));

    guest.transport.stop();
    std::size_t disconnected = 0;
    for (const auto& script : service.scripts) disconnected += script->disconnected == 1 ? 1 : 0;
    EXPECT_EQ(disconnected, service.scripts.size()) << "each endpoint hears of its end once";
    connections += service.scripts.size();
  }
  EXPECT_GT(connections, 200u) << "connections are too rare for this to test anything";
}

}  // namespace
}  // namespace runhv
