// What the tests of the server share: requests that note what they are asked, and a client.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "api/conversions.h"
#include "control/answer.h"
#include "control/server.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/process.h"

namespace runhv::control {

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

inline runhv_event event_of(runhv_event_kind kind) {
  auto event = api::sized<runhv_event>();
  event.kind = kind;
  return event;
}

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        ::testing::TempDir() + "runhv-server-" + std::to_string(platform::current_process_id());
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

inline runhv_control_process_start start_of(std::array<std::uint32_t, 3> ends,
                                            std::array<std::uint64_t, 3> tokens,
                                            std::uint32_t flags = 0) {
  auto start = api::sized<runhv_control_process_start>();
  start.flags = flags;
  start.json_bytes = 2;
  std::ranges::copy(ends, start.ends);
  std::ranges::copy(tokens, start.tokens);
  return start;
}

}  // namespace runhv::control
