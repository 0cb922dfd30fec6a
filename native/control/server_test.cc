// The VMM's side against clients that hold the other end of a connection, on one loop.
#include "control/server.h"

#include <deque>
#include <functional>
#include <string>

#include "base/bytes.h"
#include "control/container_folder.h"
#include "control/server_scene.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runhv::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(ServerTest, EveryRequestIsAnsweredOnceAndInOrder) {
  Peer peer = speaking();
  auto signal = api::sized<runhv_control_signal>();
  signal.process = 3;
  signal.signal = 15;
  auto stop = api::sized<runhv_control_stop>();
  stop.grace_ms = 7;
  auto resize = api::sized<runhv_control_resize>();
  resize.columns = 80;
  resize.rows = 24;

  peer.send(RUNHV_CONTROL_STATE);
  peer.send(RUNHV_CONTROL_START);
  peer.send(RUNHV_CONTROL_SIGNAL, signal);
  peer.send(RUNHV_CONTROL_STOP, stop);
  peer.send(RUNHV_CONTROL_PAUSE);
  peer.send(RUNHV_CONTROL_RESUME);
  peer.send(RUNHV_CONTROL_STATISTICS);
  peer.send(RUNHV_CONTROL_RESIZE, resize);
  for (int i = 0; i < 20; ++i) peer.send(RUNHV_CONTROL_STATE);  // more than a turn's

  EXPECT_EQ(peer.next(), "answer 2");
  EXPECT_EQ(peer.next(), "answer 3");
  EXPECT_EQ(peer.next(), "answer 4");
  EXPECT_EQ(peer.next(), "answer 5");
  EXPECT_EQ(peer.next(), "answer 6");
  EXPECT_EQ(peer.next(), "error conflict: it is not paused");
  EXPECT_EQ(peer.next(), "answer 8");
  EXPECT_EQ(peer.next(), "answer 10");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(peer.next(), "answer 2");
  EXPECT_THAT(requests_.notes,
              ElementsAre("start", "signal 3 15", "stop 0 7", "pause", "resize 80 24"));
}

TEST_F(ServerTest, AnAnswerThatComesLaterHoldsUpItsClientAlone) {
  Peer peer = speaking();
  Peer other = speaking();
  auto update = api::sized<runhv_control_update>();
  update.json_bytes = 2;
  update.container = 7;
  peer.send(RUNHV_CONTROL_UPDATE, update, "{}");
  peer.send(RUNHV_CONTROL_STATE);
  other.send(RUNHV_CONTROL_STATE);
  EXPECT_EQ(other.next(), "answer 2");
  EXPECT_THAT(requests_.notes, ElementsAre("update 7 {}"));
  requests_.updated({});
  EXPECT_EQ(peer.next(), "answer 13");
  EXPECT_EQ(peer.next(), "answer 2");

  peer.send(RUNHV_CONTROL_UPDATE, update, "{}");
  peer.send(RUNHV_CONTROL_STATE);
  other.send(RUNHV_CONTROL_STATE);
  EXPECT_EQ(other.next(), "answer 2");
  requests_.updated(Fail{Error{Code::kGuestFailed, "update", "set pids.max"}});
  EXPECT_EQ(peer.next(), "error guest failed: set pids.max");
  EXPECT_EQ(peer.next(), "answer 2");

  peer.send(RUNHV_CONTROL_UPDATE, update, "{}");
  other.send(RUNHV_CONTROL_STATE);
  EXPECT_EQ(other.next(), "answer 2");
  peer.reset();
  other.send(RUNHV_CONTROL_STATE);
  EXPECT_EQ(other.next(), "answer 2");
  requests_.updated({});  // of a client that has gone
  other.send(RUNHV_CONTROL_STATE);
  EXPECT_EQ(other.next(), "answer 2");
}

TEST_F(ServerTest, ALateClientIsToldWhatItMissed) {
  server_->tell(event_of(RUNHV_EVENT_CREATED));
  server_->tell(event_of(RUNHV_EVENT_STARTED));
  server_->tell(event_of(RUNHV_EVENT_PROCESS_STARTED));
  server_->tell(event_of(RUNHV_EVENT_OUT_OF_MEMORY));
  server_->tell(event_of(RUNHV_EVENT_PAUSED));
  server_->tell(event_of(RUNHV_EVENT_RESUMED));
  server_->tell(event_of(RUNHV_EVENT_OUT_OF_MEMORY));
  server_->tell_last(api::sized<runhv_statistics>());
  server_->tell(event_of(RUNHV_EVENT_ENDED));

  Peer peer = speaking();
  EXPECT_EQ(peer.next(), "event 1");
  EXPECT_EQ(peer.next(), "event 2");
  EXPECT_EQ(peer.next(), "event 5");
  EXPECT_EQ(peer.next(), "unasked 8");
  EXPECT_EQ(peer.next(), "event 9");

  Peer quiet = speaking(false);
  quiet.send(RUNHV_CONTROL_STATE);
  EXPECT_EQ(quiet.next(), "answer 2");
}

TEST_F(ServerTest, WhoDoesNotReadIsDroppedAndOthersAreTold) {
  Peer deaf = speaking();
  Peer listening = speaking();
  int told = 0;
  // What the system keeps for a socket, and what we do: some hundreds.
  for (; told < 2000; ++told) {
    server_->tell(event_of(RUNHV_EVENT_PROCESS_STARTED));
    ASSERT_EQ(listening.next(), "event 3");
  }
  int heard = 0;
  while (deaf.next() == "event 3") ++heard;
  EXPECT_LT(heard, told);
  EXPECT_GT(heard, 10);
}

TEST_F(ServerTest, ABrokenFrameEndsItsConnectionAlone) {
  Peer other = speaking();
  for (const runhv_control_frame header :
       {runhv_control_frame{0xffffffff, 2, 0, 1, 0},
        runhv_control_frame{0, 2, RUNHV_CONTROL_MAX_HANDLES + 1, 1, 0},
        runhv_control_frame{0, 2, 0, 1, 1}, runhv_control_frame{0, 2, 1, 1, 0}}) {
    Peer peer = speaking();
    peer.send_bytes(std::as_bytes(std::span(&header, 1)));
    EXPECT_THAT(peer.next(), HasSubstr("error corrupt input"));
    EXPECT_EQ(peer.next(), "end");
  }
  other.send(RUNHV_CONTROL_STATE);
  EXPECT_EQ(other.next(), "answer 2");
}

TEST_F(ServerTest, AClientThatGoesInAFrameIsForgotten) {
  for (std::size_t size : {std::size_t{1}, std::size_t{16}, std::size_t{20}}) {
    Peer peer = speaking();
    auto signal = api::sized<runhv_control_signal>();
    const auto frame = encode_frame(RUNHV_CONTROL_SIGNAL, 1, structure_bytes(signal));
    peer.send_bytes(std::span(frame).first(size));
    peer.reset();
  }
  Peer other = speaking();
  other.send(RUNHV_CONTROL_STATE);
  EXPECT_EQ(other.next(), "answer 2");
  EXPECT_TRUE(requests_.notes.empty());
}

TEST_F(ServerTest, HelloComesFirstAndOnce) {
  Peer rude = connect();
  rude.send(RUNHV_CONTROL_STATE);
  EXPECT_EQ(rude.next(), "error corrupt input: HELLO or STREAM comes first");
  EXPECT_EQ(rude.next(), "end");

  Peer newer = connect();
  newer.hello(true, 2);
  EXPECT_EQ(newer.next(), "end");

  Peer twice = speaking();
  twice.send(RUNHV_CONTROL_HELLO, api::sized<runhv_control_hello>());
  EXPECT_EQ(twice.next(), "error conflict: it said HELLO before");
  twice.send(RUNHV_CONTROL_STATE);
  EXPECT_EQ(twice.next(), "answer 2");
}

TEST_F(ServerTest, AProcessEndsWithTheClientThatWantsIt) {
  const auto start = [](Peer& peer, std::uint32_t flags) {
    auto request = api::sized<runhv_control_process_start>();
    request.flags = flags;
    request.json_bytes = 2;
    peer.send(RUNHV_CONTROL_PROCESS_START, request, "{}");
    EXPECT_EQ(peer.next(), "answer 9");
  };
  const auto notes_after_end = [this](Peer& peer) {
    requests_.notes.clear();
    peer.reset();
    // Another client's answer comes after the end was seen.
    Peer other = speaking(false);
    other.send(RUNHV_CONTROL_STATE);
    EXPECT_EQ(other.next(), "answer 2");
    return requests_.notes;
  };
  Peer stand_in = speaking(false);
  start(stand_in, RUNHV_CONTROL_ENDS_WITH_CLIENT);
  EXPECT_THAT(notes_after_end(stand_in), ElementsAre("signal 5 9"));

  Peer launcher = speaking(false);
  start(launcher, 0);
  EXPECT_THAT(notes_after_end(launcher), ElementsAre());

  // Its number is not used again, but whoever has ended is not to be killed.
  Peer patient = speaking(false);
  start(patient, RUNHV_CONTROL_ENDS_WITH_CLIENT);
  auto ended = event_of(RUNHV_EVENT_PROCESS_ENDED);
  ended.process = 5;
  server_->tell(ended);
  EXPECT_THAT(notes_after_end(patient), ElementsAre());
}

TEST_F(ServerTest, AContainerJoinsByItsName) {
  Peer peer = speaking(false);
  const auto join = [&](std::string_view name, std::uint32_t container) {
    auto request = api::sized<runhv_control_process_start>();
    request.flags = RUNHV_CONTROL_ENDS_WITH_CLIENT;
    request.json_bytes = static_cast<std::uint32_t>(name.size());
    request.container = container;
    peer.send(RUNHV_CONTROL_JOIN, request, name);
    return peer.next();
  };
  EXPECT_EQ(join("second", 0), "answer 14");
  EXPECT_THAT(join("../second", 0), HasSubstr("a name has 1 to 128"));
  EXPECT_THAT(join("second", 1), HasSubstr("it joins the VM, and no container"));
  peer.reset();
  Peer other = speaking(false);  // its answer comes after the end was seen
  EXPECT_THAT(requests_.notes, ElementsAre("join second ---", "signal 6 9"));
}

TEST_F(ServerTest, AConnectionBecomesAStreamOnceByItsToken) {
  Peer peer = speaking();
  Peer stream = connect();
  auto token = api::sized<runhv_control_stream>();
  token.token = 77;
  stream.send(RUNHV_CONTROL_STREAM, token);
  EXPECT_EQ(stream.next(), "answer 12");
  Peer second = connect();
  second.send(RUNHV_CONTROL_STREAM, token);
  EXPECT_EQ(second.next(), "error conflict: its token is taken");
  EXPECT_EQ(second.next(), "end");

  const auto start = start_of({0, RUNHV_CONTROL_END_STREAM, 0}, {0, 77, 0});
  peer.send(RUNHV_CONTROL_PROCESS_START, start, "{}");
  EXPECT_EQ(peer.next(), "answer 9");
  EXPECT_EQ(requests_.streams[1]->write(as_bytes("y")).status, platform::IoStatus::kDone);
  platform::LocalConnection ours = stream.take();
  std::array<std::byte, 8> bytes;
  const platform::IoResult read = ours.read(bytes);
  ASSERT_EQ(read.bytes, 1u);
  EXPECT_EQ(bytes[0], std::byte{'y'});

  peer.send(RUNHV_CONTROL_PROCESS_START, start, "{}");
  EXPECT_EQ(peer.next(), "error not found: no connection has this token");
}

TEST_F(ServerTest, FurtherConnectionsThan512AreClosed) {
  std::vector<Peer> peers;
  for (std::uint32_t i = 0; i < RUNHV_CONTROL_MAX_CLIENTS; ++i) peers.push_back(speaking());
  Peer further = connect();
  EXPECT_EQ(further.next(), "end");
  peers.pop_back();
  peers.front().send(RUNHV_CONTROL_STATE);
  EXPECT_EQ(peers.front().next(), "answer 2");
  Peer next = speaking();
  next.send(RUNHV_CONTROL_STATE);
  EXPECT_EQ(next.next(), "answer 2");
}

TEST_F(ServerTest, TheLauncherIsWaitedForUntilItHasRead) {
  auto [ours, theirs] = std::move(*platform::LocalConnection::pair());
  ASSERT_TRUE(server_->add_launcher(std::move(theirs)));
  server_->tell(event_of(RUNHV_EVENT_ENDED));
  bool read = false;
  server_->when_read(platform::monotonic_ns() + 60'000'000'000, [&read] { read = true; });
  ASSERT_TRUE(loop_->run_once(platform::monotonic_ns() + 10'000'000));
  EXPECT_FALSE(read);
  Peer launcher(*loop_, std::move(ours));
  launcher.hello(true);
  EXPECT_EQ(launcher.next(), "event 9");
  while (!read) ASSERT_TRUE(loop_->run_once(std::nullopt));
}

TEST_F(ServerTest, ALauncherThatIsGoneOrSilentIsNotWaitedFor) {
  for (const bool goes : {true, false}) {
    auto [ours, theirs] = std::move(*platform::LocalConnection::pair());
    ASSERT_TRUE(server_->add_launcher(std::move(theirs)));
    if (goes) ours = std::move(platform::LocalConnection::pair()->first);
    bool read = false;
    server_->when_read(goes ? UINT64_MAX : platform::monotonic_ns() + 1, [&read] { read = true; });
    while (!read) ASSERT_TRUE(loop_->run_once(std::nullopt));
  }
}

}  // namespace
}  // namespace runhv::control
