// The VMM's side against clients that hold the other end of a connection, on one loop.
#include "control/server.h"

#include <unistd.h>

#include <deque>
#include <functional>
#include <string>

#include "api/conversions.h"
#include "base/bytes.h"
#include "control/answer.h"
#include "control/container_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/clock.h"
#include "platform/file.h"

namespace runhv::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FakeRequests final : public Requests {
 public:
  runhv_state state() override {
    return api::to_abi("web",
                       container::ContainerState{container::ContainerStatus::kRunning, 1, 2, 0, 1},
                       std::nullopt);
  }
  Result<runhv_statistics> statistics() override { return api::sized<runhv_statistics>(); }
  Result<void> start() override { return note("start"); }
  Result<void> signal(container::ProcessNumber process, int signal) override {
    return note("signal " + std::to_string(process) + " " + std::to_string(signal));
  }
  Result<void> stop(int signal, std::uint32_t grace_ms) override {
    return note("stop " + std::to_string(signal) + " " + std::to_string(grace_ms));
  }
  Result<void> pause() override { return note("pause"); }
  Result<void> resume() override {
    return Fail{Error{Code::kConflict, "resume", "it is not paused"}};
  }
  Result<container::ProcessNumber> start_process(container::ProcessConfig config) override {
    std::string ends;
    for (const auto& stream : config.streams) ends += stream ? "+" : "-";
    for (const auto& descriptor : config.descriptors) ends += descriptor.for_reading ? "r" : "w";
    streams = std::move(config.streams);
    descriptors = std::move(config.descriptors);
    static_cast<void>(note("process " + std::string(config.json) + " " + ends));
    return 5u;
  }
  Result<container::ProcessNumber> join(container::JoinConfig config) override {
    std::string ends;
    for (const auto& stream : config.streams) ends += stream ? "+" : "-";
    for (const auto& descriptor : config.descriptors) ends += descriptor.for_reading ? "r" : "w";
    network = std::move(config.network);
    static_cast<void>(note("join " + config.id + " " + ends));
    return 6u;
  }
  Result<void> resize(container::ProcessNumber, std::uint16_t columns,
                      std::uint16_t rows) override {
    return note("resize " + std::to_string(columns) + " " + std::to_string(rows));
  }
  Result<void> update(container::ProcessNumber which, std::string_view json,
                      container::UpdateDone done) override {
    updated = std::move(done);
    return note("update " + std::to_string(which) + " " + std::string(json));
  }
  Result<void> attach(container::ProcessNumber, int stream,
                      std::optional<platform::Stream> end) override {
    streams[0] = std::move(end);
    return note("attach " + std::to_string(stream) + (streams[0] ? " +" : " -"));
  }

  std::vector<std::string> notes;
  container::HostStreams streams;
  std::vector<container::HostDescriptor> descriptors;
  std::optional<container::JoinedNetwork> network;
  container::UpdateDone updated;

 private:
  Result<void> note(std::string text) {
    notes.push_back(std::move(text));
    return {};
  }
};

// One client; it waits by running the loop that the server is on.
class Peer {
 public:
  Peer(platform::EventLoop& loop, platform::LocalConnection connection)
      : loop_(loop), connection_(std::move(connection)) {}

  void send_bytes(std::span<const std::byte> bytes, std::vector<platform::OsHandle> handles = {}) {
    const platform::IoResult sent = connection_.send(bytes, handles);
    ASSERT_EQ(sent.status, platform::IoStatus::kDone);
    ASSERT_EQ(sent.bytes, bytes.size());
  }

  template <class T>
  void send(std::uint32_t type, const T& structure, std::string_view more = "",
            std::vector<platform::OsHandle> handles = {}) {
    std::vector<std::byte> payload(structure_bytes(structure).begin(),
                                   structure_bytes(structure).end());
    for (const char c : more) payload.push_back(static_cast<std::byte>(c));
    send_bytes(encode_frame(type, ++request_, payload, static_cast<std::uint16_t>(handles.size())),
               handles);
  }
  void send(std::uint32_t type) { send_bytes(encode_frame(type, ++request_, {})); }

  void hello(bool wants_events, std::uint32_t version = RUNHV_CONTROL_VERSION) {
    auto structure = api::sized<runhv_control_hello>();
    structure.version = version;
    structure.flags = wants_events ? RUNHV_CONTROL_WANTS_EVENTS : 0;
    send(RUNHV_CONTROL_HELLO, structure);
    EXPECT_EQ(next(), "answer 1");
  }

  // The next frame in a word; "end" where the server has closed, "silence" after ten seconds.
  std::string next() {
    const std::uint64_t deadline_ns = platform::monotonic_ns() + 10'000'000'000;
    while (platform::monotonic_ns() < deadline_ns) {
      const auto frame = reader_.next();
      EXPECT_TRUE(frame);
      if (*frame) return told(**frame);
      std::array<std::byte, 8192> bytes;
      const platform::IoResult read = connection_.read(bytes);
      if (read.status == platform::IoStatus::kDone) {
        reader_.append(std::span(bytes).first(read.bytes));
      } else if (read.status == platform::IoStatus::kWouldBlock) {
        EXPECT_TRUE(loop_.run_once(deadline_ns));
      } else {
        return "end";
      }
    }
    return "silence";
  }

  platform::LocalConnection take() { return std::move(connection_); }
  void reset() { connection_ = std::move(platform::LocalConnection::pair()->first); }

 private:
  static std::string told(const Frame& frame) {
    const auto parsed = parse_answer(frame);
    if (!parsed) return to_string(parsed.error());
    if (const auto* event = std::get_if<Event>(&*parsed)) {
      return "event " + std::to_string(event->value.kind);
    }
    if (const auto* refusal = std::get_if<Refusal>(&*parsed)) {
      return "error " + std::string(code_name(refusal->error.code)) + ": " + refusal->error.detail;
    }
    const auto& answer = std::get<Answer>(*parsed);
    return (answer.request == 0 ? "unasked " : "answer ") + std::to_string(answer.type);
  }

  platform::EventLoop& loop_;
  platform::LocalConnection connection_;
  FrameReader reader_{RUNHV_CONTROL_MAX_ANSWER};
  std::uint32_t request_ = 0;
};

runhv_event event_of(runhv_event_kind kind) {
  auto event = api::sized<runhv_event>();
  event.kind = kind;
  return event;
}

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "runhv-server-" + std::to_string(::getpid());
    ASSERT_TRUE(platform::make_private_directory(folder_));
    ASSERT_TRUE(server_->listen(folder_, "control"));
  }
  void TearDown() override {
    server_.reset();
    ASSERT_TRUE(platform::remove_tree(folder_));
  }

  Peer connect() {
    auto connection = platform::LocalConnection::connect(folder_ + "/control");
    EXPECT_TRUE(connection) << to_string(connection.error());
    return Peer(*loop_, std::move(*connection));
  }
  Peer speaking(bool wants_events = true) {
    Peer peer = connect();
    peer.hello(wants_events);
    return peer;
  }

  std::string folder_;
  std::unique_ptr<platform::EventLoop> loop_ = std::move(*platform::EventLoop::create());
  FakeRequests requests_;
  std::optional<Server> server_{std::in_place, *loop_, requests_};
};

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

runhv_control_process_start start_of(std::array<std::uint32_t, 3> ends,
                                     std::array<std::uint64_t, 3> tokens, std::uint32_t flags = 0) {
  auto start = api::sized<runhv_control_process_start>();
  start.flags = flags;
  start.json_bytes = 2;
  std::ranges::copy(ends, start.ends);
  std::ranges::copy(tokens, start.tokens);
  return start;
}

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
