#include "devices/vsock/vsock.h"

#include <string>

#include "devices/virtio/spec.h"
#include "devices/vsock/connection.h"
#include "gtest/gtest.h"
#include "testing/vsock_guest.h"

namespace runhv::devices {
namespace {

using testing::EndpointScript;
using testing::ScriptedService;
using testing::VsockGuest;

constexpr std::size_t kGranted = VsockDevice::kWideBufferBytes;

class VsockTest : public ::testing::Test {
 protected:
  void start(int receive_buffers = 64) { guest.start(receive_buffers); }
  EndpointScript& script(std::size_t index = 0) { return *service.scripts[index]; }

  ScriptedService service;
  VsockGuest guest{service};
};

TEST_F(VsockTest, TellsTheGuestItsCid) {
  EXPECT_EQ(guest.driver.read(virtio::mmio::kDeviceId), 19u);
  EXPECT_EQ(guest.transport.read(virtio::mmio::kConfig, 8), 3u);
}

TEST_F(VsockTest, AcceptsAndCarriesBytesBothWays) {
  start();
  guest.send(VsockOp::kRequest);
  const auto response = guest.receive();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->header.op, static_cast<std::uint16_t>(VsockOp::kResponse));
  EXPECT_EQ(response->header.source_cid, 2u);
  EXPECT_EQ(response->header.destination_cid, 3u);
  EXPECT_EQ(response->header.source_port, VsockGuest::kHostPort);
  EXPECT_EQ(response->header.destination_port, VsockGuest::kGuestPort);
  EXPECT_EQ(response->header.buffer_bytes, kGranted);

  guest.send(VsockOp::kData, "hello");
  EXPECT_EQ(script().received, "hello");

  script().to_send = "answer";
  guest.device->wake(script().id);
  const auto data = guest.receive();
  ASSERT_TRUE(data);
  EXPECT_EQ(data->payload, "answer");
  EXPECT_EQ(data->header.payload_bytes, 6u);
  EXPECT_EQ(data->header.forwarded_bytes, 5u);
}

TEST_F(VsockTest, RefusesAPortThatTheServiceDoesNotWant) {
  start();
  VsockHeader request = guest.header(VsockOp::kRequest);
  request.destination_port = 9;
  guest.send(request);
  const auto reset = guest.receive();
  ASSERT_TRUE(reset);
  EXPECT_EQ(reset->header.op, static_cast<std::uint16_t>(VsockOp::kReset));
  EXPECT_EQ(reset->header.source_port, 9u);
}

TEST_F(VsockTest, ResetsWhatItDoesNotKnow) {
  start();
  guest.send(VsockOp::kData, "lost");
  EXPECT_EQ(guest.receive_op(), VsockOp::kReset);
  VsockHeader other_type = guest.header(VsockOp::kRequest);
  other_type.type = 2;
  guest.send(other_type);
  EXPECT_EQ(guest.receive_op(), VsockOp::kReset);
  VsockHeader other_host = guest.header(VsockOp::kRequest);
  other_host.destination_cid = 77;
  guest.send(other_host);
  EXPECT_EQ(guest.receive()->header.source_cid, 77u);
  EXPECT_TRUE(service.scripts.empty());
}

TEST_F(VsockTest, AnswersNeitherAResetNorAForeignSender) {
  start();
  guest.send(VsockOp::kReset);
  VsockHeader foreign = guest.header(VsockOp::kRequest);
  foreign.source_cid = 4;
  guest.send(foreign);
  EXPECT_EQ(guest.receive_op(), VsockGuest::kNone);
}

TEST_F(VsockTest, ASecondRequestEndsTheConnection) {
  start();
  ASSERT_TRUE(guest.connect());
  guest.send(VsockOp::kRequest);
  EXPECT_EQ(guest.receive_op(), VsockOp::kReset);
  EXPECT_EQ(script().disconnected, 1);
}

TEST_F(VsockTest, AnOpThatDoesNotExistEndsTheConnection) {
  start();
  ASSERT_TRUE(guest.connect());
  guest.send(VsockOp{99});
  EXPECT_EQ(guest.receive_op(), VsockOp::kReset);
  EXPECT_EQ(script().disconnected, 1);
}

TEST_F(VsockTest, RefusesMoreConnectionsThanItsLimit) {
  start(128);
  VsockHeader request = guest.header(VsockOp::kRequest);
  for (std::uint32_t i = 0; i < VsockDevice::kMaxConnections; ++i) {
    request.source_port = 100 + i;
    guest.send(request);
    ASSERT_EQ(guest.receive_op(), VsockOp::kResponse);
    guest.give_buffers(1);
  }
  request.source_port = 99;
  guest.send(request);
  EXPECT_EQ(guest.receive_op(), VsockOp::kReset);
  EXPECT_EQ(service.scripts.size(), VsockDevice::kMaxConnections);
}

// 100 programs with three streams each, and an agent.
TEST_F(VsockTest, BoundsWhatAllConnectionsTogetherMayHold) {
  service.next.takes = 0;
  start(128);
  VsockHeader request = guest.header(VsockOp::kRequest);
  std::uint64_t granted = 0;
  const auto open = [&](std::uint32_t port) {
    request.source_port = port;
    guest.send(request);
    const auto response = guest.receive();
    ASSERT_TRUE(response);
    ASSERT_EQ(response->header.op, static_cast<std::uint16_t>(VsockOp::kResponse));
    granted += response->header.buffer_bytes;
    guest.give_buffers(1);
  };
  for (std::uint32_t i = 0; i < VsockDevice::kMaxConnections; ++i) open(100 + i);
  EXPECT_EQ(granted, 30ull << 20);

  // The place of a wide one that ends goes to the next.
  guest.send(VsockHeader{.source_cid = 3,
                         .destination_cid = 2,
                         .source_port = 100,
                         .destination_port = VsockGuest::kHostPort,
                         .op = static_cast<std::uint16_t>(VsockOp::kReset)});
  granted = 0;
  open(99);
  EXPECT_EQ(granted, VsockDevice::kWideBufferBytes);
}

TEST_F(VsockTest, ResetsAGuestThatExceedsANarrowCredit) {
  service.next.takes = 0;
  start(128);
  VsockHeader packet = guest.header(VsockOp::kRequest);
  for (std::uint32_t i = 0; i <= VsockDevice::kWideConnections; ++i) {
    packet.source_port = 100 + i;
    guest.send(packet);
    ASSERT_EQ(guest.receive_op(), VsockOp::kResponse);
  }
  packet.op = static_cast<std::uint16_t>(VsockOp::kData);
  guest.send(packet, std::string(VsockDevice::kNarrowBufferBytes, 'x'));
  EXPECT_EQ(guest.receive_op(), VsockGuest::kNone);
  guest.send(packet, "y");
  EXPECT_EQ(guest.receive_op(), VsockOp::kReset);
  EXPECT_EQ(script(VsockDevice::kWideConnections).disconnected, 1);
}

TEST_F(VsockTest, WakesWhilePausedAreServedWhenResumed) {
  start();
  ASSERT_TRUE(guest.connect());
  ASSERT_TRUE(guest.transport.pause(0));
  script().to_send = "later";
  guest.device->wake(script().id);
  guest.device->wake(script().id);
  guest.device->wake(77);
  EXPECT_EQ(guest.receive_op(), VsockGuest::kNone);

  guest.transport.resume();

  EXPECT_EQ(guest.receive()->payload, "later");
  script().to_send = "now";
  guest.device->wake(script().id);
  EXPECT_EQ(guest.receive()->payload, "now");
}

TEST_F(VsockTest, SendsNoMoreThanTheGuestHasRoomFor) {
  start();
  VsockHeader request = guest.header(VsockOp::kRequest);
  request.buffer_bytes = 10;
  service.next.to_send = "0123456789abcdef";
  guest.send(request);
  ASSERT_EQ(guest.receive_op(), VsockOp::kResponse);
  EXPECT_EQ(guest.receive()->payload, "0123456789");
  EXPECT_EQ(guest.receive_op(), VsockGuest::kNone);

  VsockHeader update = guest.header(VsockOp::kCreditUpdate);
  update.buffer_bytes = 10;
  update.forwarded_bytes = 4;
  guest.send(update);

  EXPECT_EQ(guest.receive()->payload, "abcd");
  EXPECT_EQ(guest.receive_op(), VsockGuest::kNone);
}

TEST_F(VsockTest, ACreditThatIsALieGivesNoRoom) {
  start();
  ASSERT_TRUE(guest.connect());
  VsockHeader update = guest.header(VsockOp::kCreditUpdate);
  update.forwarded_bytes = 1000;  // of 0 that were sent
  guest.send(update);
  script().to_send = "x";
  guest.device->wake(script().id);
  EXPECT_EQ(guest.receive_op(), VsockGuest::kNone);
}

TEST_F(VsockTest, ABufferThatShrinksBelowWhatIsOnItsWayGivesNoRoom) {
  start();
  service.next.to_send = "0123456789";
  ASSERT_TRUE(guest.connect());
  EXPECT_EQ(guest.receive()->payload, "0123456789");
  VsockHeader update = guest.header(VsockOp::kCreditUpdate);
  update.buffer_bytes = 5;
  guest.send(update);
  script().to_send = "x";
  guest.device->wake(script().id);
  EXPECT_EQ(guest.receive_op(), VsockGuest::kNone);
}

TEST_F(VsockTest, KeepsWhatTheEndpointDoesNotTakeAndOffersItLater) {
  start();
  service.next.takes = 3;
  ASSERT_TRUE(guest.connect());
  guest.send(VsockOp::kData, "abcdef");
  guest.send(VsockOp::kData, "ghi");
  EXPECT_EQ(script().received, "abc");

  script().takes = SIZE_MAX;
  guest.device->wake(script().id);

  EXPECT_EQ(script().received, "abcdefghi");
}

TEST_F(VsockTest, GivesCreditWhenTheEndpointTakesAndNotBefore) {
  start();
  service.next.takes = 0;
  ASSERT_TRUE(guest.connect());
  const std::string block(32 * 1024, 'x');
  for (std::size_t sent = 0; sent < kGranted; sent += block.size()) {
    guest.send(VsockOp::kData, block);
  }
  EXPECT_EQ(guest.receive_op(), VsockGuest::kNone) << "no credit, and no reset";
  EXPECT_EQ(script().disconnected, 0);

  script().takes = 1000;
  guest.device->wake(script().id);
  EXPECT_EQ(guest.receive_op(), VsockGuest::kNone) << "too little for a packet";
  script().takes = SIZE_MAX;
  guest.device->wake(script().id);

  const auto update = guest.receive();
  ASSERT_TRUE(update);
  EXPECT_EQ(update->header.op, static_cast<std::uint16_t>(VsockOp::kCreditUpdate));
  EXPECT_EQ(update->header.forwarded_bytes, kGranted);
  EXPECT_EQ(script().received, std::string(kGranted, 'x'));
  EXPECT_EQ(guest.receive_op(), VsockGuest::kNone);
}

// Linux sends no more than a buffer of its own size before it hears of credit.
TEST_F(VsockTest, GivesCreditByTheGuestsBufferWhereThatIsSmaller) {
  start();
  ASSERT_TRUE(guest.connect());
  VsockHeader data = guest.header(VsockOp::kData);
  data.buffer_bytes = 1000;
  data.payload_bytes = 499;
  guest.send(data, std::string(499, 'x'));
  EXPECT_EQ(guest.receive_op(), VsockGuest::kNone);
  data.payload_bytes = 1;
  guest.send(data, "x");
  const auto update = guest.receive();
  ASSERT_TRUE(update);
  EXPECT_EQ(update->header.op, static_cast<std::uint16_t>(VsockOp::kCreditUpdate));
  EXPECT_EQ(update->header.forwarded_bytes, 500u);
  EXPECT_EQ(guest.receive_op(), VsockGuest::kNone);
}

TEST_F(VsockTest, ResetsAGuestThatExceedsItsCredit) {
  start();
  service.next.takes = 0;
  ASSERT_TRUE(guest.connect());
  const std::string block(32 * 1024, 'x');
  for (std::size_t sent = 0; sent < kGranted; sent += block.size()) {
    guest.send(VsockOp::kData, block);
  }
  guest.send(VsockOp::kData, "y");
  EXPECT_EQ(guest.receive_op(), VsockOp::kReset);
  EXPECT_EQ(script().disconnected, 1);
}

TEST_F(VsockTest, ResetsAGuestThatClaimsMoreThanItSends) {
  start();
  ASSERT_TRUE(guest.connect());
  VsockHeader lie = guest.header(VsockOp::kData);
  lie.payload_bytes = 100;
  guest.send(lie, "short");
  EXPECT_EQ(guest.receive_op(), VsockOp::kReset);
  EXPECT_EQ(script().received, "");
}

TEST_F(VsockTest, AnswersACreditRequest) {
  start();
  ASSERT_TRUE(guest.connect());
  guest.send(VsockOp::kData, "1234");
  guest.send(VsockOp::kCreditRequest);
  const auto update = guest.receive();
  ASSERT_TRUE(update);
  EXPECT_EQ(update->header.op, static_cast<std::uint16_t>(VsockOp::kCreditUpdate));
  EXPECT_EQ(update->header.forwarded_bytes, 4u);
}

TEST_F(VsockTest, EndsItsSendingSideAfterTheLastByte) {
  start();
  service.next.to_send = "end";
  service.next.send_finished = true;
  ASSERT_TRUE(guest.connect());
  EXPECT_EQ(guest.receive()->payload, "end");
  const auto shutdown = guest.receive();
  ASSERT_TRUE(shutdown);
  EXPECT_EQ(shutdown->header.op, static_cast<std::uint16_t>(VsockOp::kShutdown));
  EXPECT_EQ(shutdown->header.flags, kVsockShutdownSend);
  guest.send(VsockOp::kData, "still open");
  EXPECT_EQ(script().received, "still open");
  EXPECT_EQ(guest.receive_op(), VsockGuest::kNone);
}

TEST_F(VsockTest, TellsTheEndpointThatTheGuestHasFinishedAfterTheLastByte) {
  start();
  service.next.takes = 2;
  ASSERT_TRUE(guest.connect());
  guest.send(VsockOp::kData, "abc");
  VsockHeader shutdown = guest.header(VsockOp::kShutdown);
  shutdown.flags = kVsockShutdownSend;
  guest.send(shutdown);
  EXPECT_EQ(script().guest_finished, 0);

  script().takes = SIZE_MAX;
  guest.device->wake(script().id);
  guest.device->wake(script().id);

  EXPECT_EQ(script().received, "abc");
  EXPECT_EQ(script().guest_finished, 1);
  EXPECT_EQ(script().disconnected, 0);
  script().to_send = "reply";
  guest.device->wake(script().id);
  EXPECT_EQ(guest.receive()->payload, "reply");
}

TEST_F(VsockTest, ConfirmsTheEndOfBothSidesAfterTheLastByteIsTaken) {
  start();
  service.next.takes = 0;
  ASSERT_TRUE(guest.connect());
  guest.send(VsockOp::kData, "last");
  VsockHeader shutdown = guest.header(VsockOp::kShutdown);
  shutdown.flags = kVsockShutdownSend | kVsockShutdownReceive;
  guest.send(shutdown);
  EXPECT_EQ(guest.receive_op(), VsockGuest::kNone);

  script().takes = SIZE_MAX;
  guest.device->wake(script().id);

  EXPECT_EQ(script().received, "last");
  EXPECT_EQ(script().guest_finished, 1);
  EXPECT_EQ(script().disconnected, 1);
  EXPECT_EQ(guest.receive_op(), VsockOp::kReset);
}

TEST_F(VsockTest, DataAfterTheGuestsEndIsAnError) {
  start();
  ASSERT_TRUE(guest.connect());
  VsockHeader shutdown = guest.header(VsockOp::kShutdown);
  shutdown.flags = kVsockShutdownSend;
  guest.send(shutdown);
  guest.send(VsockOp::kData, "late");
  EXPECT_EQ(guest.receive_op(), VsockOp::kReset);
  EXPECT_EQ(script().received, "");
}

TEST_F(VsockTest, ResetsWhenTheEndpointCloses) {
  start();
  ASSERT_TRUE(guest.connect());
  script().to_send = "bye";
  script().closed = true;
  guest.device->wake(script().id);
  EXPECT_EQ(guest.receive_op(), VsockOp::kReset);
  EXPECT_EQ(script().disconnected, 1);
  guest.device->wake(script().id);
  EXPECT_EQ(guest.receive_op(), VsockGuest::kNone) << "an old id is ignored";
}

TEST_F(VsockTest, WaitsForBuffersOfTheGuest) {
  start(1);
  ASSERT_TRUE(guest.connect());
  script().to_send = std::string(10000, 'z');
  guest.device->wake(script().id);
  EXPECT_EQ(script().to_send.size(), 10000u) << "nothing is taken that cannot be given";

  guest.give_buffers(1);
  EXPECT_EQ(guest.receive()->payload.size(), 4096 - kVsockHeaderBytes);
  guest.give_buffers(2);
  EXPECT_EQ(guest.receive()->payload.size(), 4096 - kVsockHeaderBytes);
  EXPECT_EQ(guest.receive()->payload.size(), 10000 - 2 * (4096 - kVsockHeaderBytes));
}

TEST_F(VsockTest, TakesNoPacketWhileTooManyRefusalsWait) {
  start(0);
  for (int i = 0; i < 100; ++i) guest.send(VsockOp::kData, "x");
  int taken = 0;
  while (guest.driver.queue(1).take_used()) ++taken;
  EXPECT_EQ(taken, 64);

  guest.give_buffers(120);

  while (guest.driver.queue(1).take_used()) ++taken;
  EXPECT_EQ(taken, 100);
  int resets = 0;
  while (guest.receive_op() == VsockOp::kReset) ++resets;
  EXPECT_EQ(resets, 100);
}

TEST_F(VsockTest, LetsConnectionsTakeTurns) {
  start(0);
  VsockHeader request = guest.header(VsockOp::kRequest);
  service.next.to_send = std::string(20000, 'a');
  for (std::uint32_t port = 1; port <= 2; ++port) {
    request.source_port = port;
    guest.send(request);
  }
  guest.give_buffers(6);
  int first = 0;
  while (const auto packet = guest.receive()) first += packet->header.destination_port == 1 ? 1 : 0;
  EXPECT_EQ(first, 3);
}

TEST_F(VsockTest, ResetOfTheDeviceEndsEveryConnection) {
  start();
  ASSERT_TRUE(guest.connect());
  guest.driver.write(virtio::mmio::kStatus, 0);
  EXPECT_EQ(script().disconnected, 1);
  guest.device->wake(script().id);
  start();
  EXPECT_TRUE(guest.connect());
  EXPECT_NE(service.scripts[1]->id, service.scripts[0]->id);
}

TEST_F(VsockTest, NeedsNoKickForBuffersThatItDoesNotWaitFor) {
  ASSERT_TRUE(guest.driver.start(UINT64_MAX));
  const testing::Buffer buffer{Gpa{2 << 20}, 4096, true};
  guest.driver.queue(0).add({&buffer, 1});
  EXPECT_FALSE(guest.driver.queue(0).kick());
  guest.driver.queue(2).add({&buffer, 1});
  EXPECT_FALSE(guest.driver.queue(2).kick());
  EXPECT_TRUE(guest.send(VsockOp::kReset));
}

// The guest's other processor gives each receive buffer back at once.
class Refiller final : public memory::MemoryWriteObserver {
 public:
  void written(Gpa first, std::uint64_t) override {
    if (queue != nullptr && first.value == queue->device_area().value) queue->offer(0);
  }
  testing::DriverQueue* queue = nullptr;
};

TEST(VsockTurns, AWakeThatLeavesWorkGoesOnByItself) {
  ScriptedService service;
  Refiller refiller;
  VsockGuest guest(service, &refiller);
  guest.start(1);
  refiller.queue = &guest.driver.queue(0);
  VsockHeader request = guest.header(VsockOp::kRequest);
  request.buffer_bytes = 16 << 20;
  guest.send(request);
  EndpointScript& script = *service.scripts[0];
  constexpr std::size_t kPayload = VsockGuest::kReceiveBufferBytes - kVsockHeaderBytes;
  script.to_send = std::string(300 * kPayload, 's');  // 128 packets a call

  guest.device->wake(script.id);
  EXPECT_EQ(script.to_send.size(), 172 * kPayload);
  EXPECT_EQ(guest.later.size(), 1u);
  EXPECT_TRUE(guest.later.run_one());
  EXPECT_EQ(script.to_send.size(), 44 * kPayload);
  guest.later.run_all();
  EXPECT_TRUE(script.to_send.empty());
}

TEST_F(VsockTest, APacketWithoutAWholeHeaderBreaksTheDevice) {
  start();
  ASSERT_TRUE(guest.connect());
  const testing::Buffer cut{Gpa{2 << 20}, kVsockHeaderBytes - 1, false};
  guest.driver.queue(1).add({&cut, 1});
  guest.driver.queue(1).kick();
  EXPECT_NE(guest.driver.read(virtio::mmio::kStatus) & virtio::kStatusNeedsReset, 0u);
  EXPECT_EQ(script().disconnected, 1);
}

TEST_F(VsockTest, ABufferWithoutRoomForAPayloadBreaksTheDevice) {
  start(0);
  const testing::Buffer tiny{Gpa{2 << 20}, kVsockHeaderBytes, true};
  guest.driver.queue(0).add({&tiny, 1});
  guest.send(VsockOp::kRequest);
  EXPECT_NE(guest.driver.read(virtio::mmio::kStatus) & virtio::kStatusNeedsReset, 0u);
  EXPECT_EQ(script().disconnected, 1);
}

}  // namespace
}  // namespace runhv::devices
