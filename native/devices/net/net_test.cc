#include "devices/net/net.h"

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "devices/virtio/mmio_transport.h"
#include "devices/virtio/spec.h"
#include "gtest/gtest.h"
#include "testing/guest.h"
#include "testing/net_backend.h"
#include "testing/virtio_driver.h"

namespace runhv::devices {
namespace {

using testing::Buffer;
using testing::get_text;
using testing::put;

constexpr MacAddress kMac{2, 0, 0, 0, 0, 7};
constexpr std::uint16_t kMtu = 1500;
constexpr std::uint64_t kChecksum = 1u << 0;
constexpr std::uint64_t kGuestOffloads = 1u << 1 | 1u << 7 | 1u << 8;
constexpr std::uint64_t kMergedBuffers = 1u << 15;
constexpr Gpa kFrame{2 << 20};
constexpr std::uint64_t kBuffers = 4 << 20;
constexpr std::uint64_t kStride = 64 * 1024;

struct Header {
  std::uint8_t flags = 0;
  std::uint8_t segmentation = 0;
  std::uint16_t header_bytes = 0;
  std::uint16_t segment_bytes = 0;
  std::uint16_t checksum_start = 0;
  std::uint16_t checksum_offset = 0;
};

std::string text(const Header& header) {
  std::array<std::byte, kNetHeaderBytes> bytes{};
  store_le(bytes, 0, header.flags);
  store_le(bytes, 1, header.segmentation);
  store_le(bytes, 2, header.header_bytes);
  store_le(bytes, 4, header.segment_bytes);
  store_le(bytes, 6, header.checksum_start);
  store_le(bytes, 8, header.checksum_offset);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class NetTest : public ::testing::Test {
 protected:
  NetTest() { start(UINT64_MAX); }
  void start(std::uint64_t features) { RUNHV_CHECK(driver.start(features)); }

  void send(const std::string& bytes) {
    put(*memory, kFrame, bytes);
    const Buffer buffer{kFrame, static_cast<std::uint32_t>(bytes.size()), false};
    driver.queue(1).add({&buffer, 1});
    driver.queue(1).kick();
  }
  void send(const Header& header, std::size_t frame_bytes = 100) {
    send(text(header) + std::string(frame_bytes, 'f'));
  }
  // Buffer n lies at kBuffers + n * kStride.
  void offer(std::size_t count, std::uint32_t size) {
    for (std::size_t i = 0; i < count; ++i) {
      const Buffer buffer{Gpa{kBuffers + offered++ * kStride}, size, true};
      driver.queue(0).add({&buffer, 1});
    }
    driver.queue(0).kick();
  }
  std::string received(std::size_t buffer, std::size_t size) {
    return get_text(*memory, Gpa{kBuffers + buffer * kStride}, size);
  }
  bool needs_reset() {
    return (driver.read(virtio::mmio::kStatus) & virtio::kStatusNeedsReset) != 0;
  }

  testing::FakeNetBackend backend;
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  std::shared_ptr<memory::GuestMemory> memory = testing::make_guest_memory();
  MmioTransport transport{std::make_unique<NetDevice>(backend, kMac, kMtu), memory, irq, later};
  testing::VirtioDriver driver{transport, *memory, Gpa{1 << 20}};
  std::size_t offered = 0;
};

TEST_F(NetTest, ShowsItsAddressAndItsMtu) {
  for (std::uint32_t i = 0; i < kMac.size(); ++i) {
    EXPECT_EQ(transport.read(virtio::mmio::kConfig + i, 1), kMac[i]);
  }
  EXPECT_EQ(transport.read(virtio::mmio::kConfig + 10, 2), kMtu);
}

TEST_F(NetTest, SendsAFrameBehindAHeaderThatAsksForNothing) {
  send(Header{}, 60);
  ASSERT_EQ(backend.sent.size(), 1u);
  EXPECT_EQ(backend.sent[0], std::string(12, '\0') + std::string(60, 'f'));
  EXPECT_EQ(driver.queue(1).take_used()->written_bytes, 0u);
}

TEST_F(NetTest, SendsAFrameThatIsScatteredWithItsHeader) {
  put(*memory, kFrame, text({}) + std::string(60, 'f'));
  const std::array<Buffer, 3> parts{Buffer{kFrame, 5, false},
                                    Buffer{Gpa{kFrame.value + 5}, 20, false},
                                    Buffer{Gpa{kFrame.value + 25}, 47, false}};
  driver.queue(1).add(parts);
  driver.queue(1).kick();
  ASSERT_EQ(backend.sent.size(), 1u);
  EXPECT_EQ(backend.sent[0], std::string(12, '\0') + std::string(60, 'f'));
}

TEST_F(NetTest, PassesOnWhatTheGuestLeavesToTheHost) {
  const Header wanted{.flags = 1,
                      .segmentation = 1,
                      .header_bytes = 54,
                      .segment_bytes = 1448,
                      .checksum_start = 34,
                      .checksum_offset = 16};
  send(wanted, 40'000);
  ASSERT_EQ(backend.sent.size(), 1u);
  Header passed = wanted;
  passed.header_bytes = 0;  // a hint that could be a lie
  EXPECT_EQ(backend.sent[0].substr(0, 12), text(passed));
}

// Each header alone, so that none hides behind another.
TEST_F(NetTest, LosesAFrameWhoseHeaderIsWrong) {
  const Header good{.flags = 1,
                    .segmentation = 1,
                    .segment_bytes = 1448,
                    .checksum_start = 34,
                    .checksum_offset = 16};
  std::vector<Header> headers(9, good);
  headers[0].checksum_start = 100;  // at the frame's end
  headers[1].checksum_start = 13;   // in the Ethernet header
  headers[2].checksum_offset = 65;  // 34 + 65 + 2 > 100
  headers[3].checksum_offset = 6;   // UDP's
  headers[4].segment_bytes = 7;
  headers[5].segmentation = 3;         // UDP
  headers[6].segmentation = 1 | 0x80;  // ECN was not offered
  headers[7].flags = 0;                // segmentation without a checksum
  headers[8].checksum_start = 81;      // no room for a TCP header
  for (const Header& header : headers) send(header);
  EXPECT_TRUE(backend.sent.empty());
  EXPECT_FALSE(needs_reset());
  for (std::size_t i = 0; i < headers.size(); ++i) EXPECT_TRUE(driver.queue(1).take_used());

  send(good);
  EXPECT_EQ(backend.sent.size(), 1u);
}

TEST_F(NetTest, LosesAFrameThatIsTooShortOrTooLong) {
  send(Header{}, 13);
  send(Header{}, kMtu + 19);
  send(Header{.flags = 1,
              .segmentation = 4,
              .segment_bytes = 1440,
              .checksum_start = 54,
              .checksum_offset = 16},
       kMaxFrameBytes + 1);
  EXPECT_TRUE(backend.sent.empty());
  send(Header{}, kMtu + 18);
  EXPECT_EQ(backend.sent.size(), 1u);
}

TEST_F(NetTest, AFrameWithoutAWholeHeaderBreaksTheDevice) {
  send(std::string(11, '\0'));
  EXPECT_TRUE(needs_reset());
}

TEST_F(NetTest, LosesWhatWasNotNegotiated) {
  start(0);
  send(Header{.flags = 1, .checksum_start = 34, .checksum_offset = 16});
  EXPECT_TRUE(backend.sent.empty());
  start(kChecksum);
  send(Header{.flags = 1, .checksum_start = 34, .checksum_offset = 16});
  EXPECT_EQ(backend.sent.size(), 1u);
  send(Header{.flags = 1,
              .segmentation = 1,
              .segment_bytes = 1448,
              .checksum_start = 34,
              .checksum_offset = 16});
  EXPECT_EQ(backend.sent.size(), 1u);
}

TEST_F(NetTest, KeepsFramesInTheQueueUntilTheBackendHasRoom) {
  backend.takes = 1;
  send(Header{}, 60);
  send(Header{}, 61);
  EXPECT_EQ(backend.sent.size(), 1u);
  EXPECT_TRUE(driver.queue(1).take_used());
  EXPECT_FALSE(driver.queue(1).take_used());

  backend.takes = 2;
  backend.ready();
  ASSERT_EQ(backend.sent.size(), 2u);
  EXPECT_EQ(backend.sent[1].size(), 12u + 61u);
  EXPECT_TRUE(driver.queue(1).take_used());
}

TEST_F(NetTest, TellsTheBackendWhatTheGuestTakes) {
  EXPECT_TRUE(backend.offloads.checksum && backend.offloads.tcp4 && backend.offloads.tcp6);
  start(1u << 7);  // segmentation without the checksum
  EXPECT_FALSE(backend.offloads.checksum || backend.offloads.tcp4 || backend.offloads.tcp6);
}

TEST_F(NetTest, GivesAFrameInOneBuffer) {
  start(0);
  offer(1, 1530);
  backend.to_guest.push_back(text({}) + "frame");
  backend.ready();
  EXPECT_EQ(driver.queue(0).take_used()->written_bytes, 17u);
  EXPECT_EQ(received(0, 17), std::string(10, '\0') + std::string("\1\0", 2) + "frame");
  EXPECT_EQ(irq.pulses, 1);
}

TEST_F(NetTest, GivesAFrameInSeveralBuffersAndTheirNumber) {
  start(kMergedBuffers);
  offer(4, 600);
  backend.to_guest.push_back(text({}) + std::string(988, 'a'));
  backend.ready();
  EXPECT_EQ(driver.queue(0).take_used()->written_bytes, 600u);
  EXPECT_EQ(driver.queue(0).take_used()->written_bytes, 400u);
  EXPECT_FALSE(driver.queue(0).take_used());
  EXPECT_EQ(received(0, 12).substr(10), std::string("\2\0", 2));
  EXPECT_EQ(received(1, 400), std::string(400, 'a'));

  // The buffers that were left are next.
  offer(2, 600);
  backend.to_guest.push_back(text({}) + "next");
  backend.ready();
  EXPECT_EQ(driver.queue(0).take_used()->written_bytes, 16u);
  EXPECT_EQ(received(2, 16).substr(12), "next");
}

TEST_F(NetTest, LeavesFramesInTheBackendWithoutBuffersForTheLargest) {
  offer(1, 1530);
  backend.to_guest.push_back(text({}) + "frame");
  backend.ready();
  EXPECT_EQ(backend.to_guest.size(), 1u);

  offer(1, 64 * 1024);
  EXPECT_TRUE(backend.to_guest.empty());
  EXPECT_EQ(driver.queue(0).take_used()->written_bytes, 17u);
  EXPECT_FALSE(driver.queue(0).take_used());
}

TEST_F(NetTest, LosesAFrameThatIsLargerThanItsBuffer) {
  start(0);
  offer(1, 100);
  backend.to_guest.push_back(text({}) + std::string(89, 'a'));
  backend.to_guest.push_back(text({}) + std::string(88, 'b'));
  backend.ready();
  EXPECT_EQ(driver.queue(0).take_used()->written_bytes, 100u);
  EXPECT_EQ(received(0, 100).substr(12), std::string(88, 'b'));
}

TEST_F(NetTest, ABufferWithoutRoomForAHeaderBreaksTheDevice) {
  offer(1, 11);
  EXPECT_TRUE(needs_reset());
}

TEST_F(NetTest, FillsNoMorePartsThanABackendTakes) {
  start(kMergedBuffers | virtio::kFeatureIndirectDesc);
  // 5 buffers of 250 parts of 1 byte: the fifth has no room in a call of the backend.
  const std::vector<Buffer> parts(250, Buffer{Gpa{kBuffers}, 1, true});
  for (std::uint64_t i = 0; i < 5; ++i) {
    driver.queue(0).add_indirect(parts, Gpa{(3 << 20) + i * 8192});
  }
  driver.queue(0).kick();
  backend.to_guest.push_back(text({}) + std::string(988, 'a'));
  backend.ready();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(driver.queue(0).take_used()->written_bytes, 250u);
  EXPECT_FALSE(driver.queue(0).take_used());
}

TEST_F(NetTest, GivesNothingToAGuestThatHasReset) {
  offer(1, 64 * 1024);
  driver.reset();
  backend.to_guest.push_back(text({}) + "frame");
  backend.ready();
  EXPECT_EQ(backend.to_guest.size(), 1u);
}

TEST(NetEnd, TheBackendCallsNobodyAfterTheDevice) {
  testing::FakeNetBackend backend;
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  {
    const MmioTransport transport(std::make_unique<NetDevice>(backend, kMac, kMtu),
                                  testing::make_guest_memory(), irq, later);
    EXPECT_TRUE(backend.ready);
  }
  EXPECT_FALSE(backend.ready);
}

}  // namespace
}  // namespace runhv::devices
