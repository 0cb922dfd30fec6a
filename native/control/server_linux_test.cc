// Descriptors that come with a request: no handle goes over a connection of Windows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "base/bytes.h"
#include "control/server_scene.h"

namespace runhv::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What stream `index` of the fake's process does with a pipe's end that we hold.
std::string written_by(FakeRequests& requests, std::size_t index, platform::OsHandle reader) {
  EXPECT_EQ(requests.streams[index]->write(as_bytes("x")).status, platform::IoStatus::kDone);
  char byte = 0;
  EXPECT_EQ(::read(static_cast<int>(reader), &byte, 1), 1);
  return {byte};
}

TEST_F(ServerTest, DescriptorsBecomeStreamsInTheirOrder) {
  Peer peer = speaking();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const auto start =
      start_of({RUNHV_CONTROL_END_NONE, RUNHV_CONTROL_END_HANDLE, RUNHV_CONTROL_END_NONE}, {});
  peer.send(RUNHV_CONTROL_PROCESS_START, start, "{}", {ends[1]});
  EXPECT_EQ(peer.next(), "answer 9");
  EXPECT_THAT(requests_.notes, ElementsAre("process {} -+-"));
  EXPECT_EQ(written_by(requests_, 1, ends[0]), "x");

  // Ours and the process's are the only ones: with both closed, the pipe ends.
  ::close(ends[1]);
  requests_.streams = {};
  char byte = 0;
  EXPECT_EQ(::read(ends[0], &byte, 1), 0);
  ::close(ends[0]);
}

TEST_F(ServerTest, DescriptorsBesideTheStreamsComeAfterThem) {
  Peer peer = speaking();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  auto start = start_of({RUNHV_CONTROL_END_NONE, RUNHV_CONTROL_END_HANDLE, 0}, {});
  start.descriptors = 2;
  peer.send(RUNHV_CONTROL_PROCESS_START, start, "{}", {ends[1], ends[0], ends[1]});
  EXPECT_EQ(peer.next(), "answer 9");
  EXPECT_THAT(requests_.notes, ElementsAre("process {} -+-rw"));

  // Which way one goes is what it was opened for.
  auto [ours, theirs] = std::move(*platform::LocalConnection::pair());
  const platform::UniqueHandle socket = std::move(theirs).release();
  start.descriptors = 1;
  peer.send(RUNHV_CONTROL_PROCESS_START, start, "{}", {ends[1], socket.get()});
  EXPECT_THAT(peer.next(), HasSubstr("error"));
  start.descriptors = container::kMaxDescriptors + 1;
  peer.send(RUNHV_CONTROL_PROCESS_START, start, "{}", {ends[1]});
  EXPECT_THAT(peer.next(), HasSubstr("14 descriptors beside the streams; at most 13"));
  start.descriptors = 1;
  peer.send(RUNHV_CONTROL_PROCESS_START, start, "{}", {ends[1]});
  EXPECT_THAT(peer.next(), HasSubstr("it names 2 descriptors and brings 1"));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(ServerTest, TheTapsOfAJoinAreTheLastOfItsDescriptors) {
  Peer peer = speaking(false);
  int ends[2];
  int taps[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::pipe(taps), 0);
  auto request = start_of({RUNHV_CONTROL_END_NONE, RUNHV_CONTROL_END_HANDLE, 0}, {},
                          RUNHV_CONTROL_OWN_NETWORK);
  request.json_bytes = 6;
  request.descriptors = 1;
  request.taps = 2;
  std::string text = "second";
  for (const std::uint32_t mtu : {1400u, 1500u}) {
    auto tap = api::sized<runhv_control_tap>();
    tap.mtu = mtu;
    text.append(reinterpret_cast<const char*>(&tap), sizeof tap);
  }
  peer.send(RUNHV_CONTROL_JOIN, request, text, {ends[1], ends[0], taps[1], taps[0]});
  EXPECT_EQ(peer.next(), "answer 14");
  EXPECT_THAT(requests_.notes, ElementsAre("join second -+-r"));
  ASSERT_TRUE(requests_.network);
  const auto& interfaces = requests_.network->interfaces;
  ASSERT_EQ(interfaces.size(), 2u);
  EXPECT_EQ(interfaces[0].mtu, 1400u);
  EXPECT_EQ(interfaces[1].mtu, 1500u);
  EXPECT_EQ(::write(static_cast<int>(interfaces[0].tap.get()), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(static_cast<int>(interfaces[1].tap.get()), &byte, 1), 1);
  for (const int each : {ends[0], ends[1], taps[0], taps[1]}) ::close(each);

  request = start_of({}, {});
  request.json_bytes = 6;
  peer.send(RUNHV_CONTROL_JOIN, request, "second");
  EXPECT_EQ(peer.next(), "answer 14");
  EXPECT_FALSE(requests_.network);
}

TEST_F(ServerTest, DescriptorsOfARefusedRequestAreClosed) {
  Peer peer = speaking();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  peer.send(RUNHV_CONTROL_PROCESS_START, start_of({RUNHV_CONTROL_END_HANDLE, 9, 0}, {}), "{}",
            {ends[1]});
  EXPECT_THAT(peer.next(), HasSubstr("9 is no end of a stream"));
  peer.send_bytes(encode_frame(RUNHV_CONTROL_STATE, 1, {}), {ends[1]});
  EXPECT_EQ(peer.next(), "answer 2");
  EXPECT_EQ(peer.next(), "error corrupt input: descriptors came that no frame names");
  EXPECT_EQ(peer.next(), "end");
  ::close(ends[1]);
  char byte = 0;
  EXPECT_EQ(::read(ends[0], &byte, 1), 0);
  ::close(ends[0]);
}

TEST_F(ServerTest, ATerminalsOneEndCarriesBothDirections) {
  Peer peer = speaking();
  auto [ours, theirs] = std::move(*platform::LocalConnection::pair());
  const platform::UniqueHandle handle = std::move(theirs).release();
  peer.send(RUNHV_CONTROL_PROCESS_START,
            start_of({RUNHV_CONTROL_END_HANDLE, 0, 0}, {}, RUNHV_PROCESS_TERMINAL), "{}",
            {handle.get()});
  EXPECT_EQ(peer.next(), "answer 9");
  EXPECT_THAT(requests_.notes, ElementsAre("process {} ++-"));
}

TEST_F(ServerTest, AttachGivesAnEndOrNone) {
  Peer peer = speaking();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  auto attach = api::sized<runhv_control_attach>();
  attach.stream = 1;
  peer.send(RUNHV_CONTROL_ATTACH, attach);
  EXPECT_EQ(peer.next(), "answer 11");
  attach.end = RUNHV_CONTROL_END_HANDLE;
  peer.send(RUNHV_CONTROL_ATTACH, attach, "", {ends[1]});
  EXPECT_EQ(peer.next(), "answer 11");
  EXPECT_THAT(requests_.notes, ElementsAre("attach 1 -", "attach 1 +"));
  EXPECT_EQ(written_by(requests_, 0, ends[0]), "x");
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace runhv::control
