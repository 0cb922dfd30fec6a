#include "container/agent_session.h"

#include <unistd.h>

#include <csignal>
#include <cstring>
#include <string>

#include "base/bytes.h"
#include "container/start_message.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runhv {
namespace {

struct Pipe {
  Pipe() {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    reader.reset(ends[0]);
    writer.reset(ends[1]);
  }
  UniqueHandle reader;
  UniqueHandle writer;
};

void put(const UniqueHandle& handle, const std::string& text) {
  ASSERT_EQ(::write(static_cast<int>(handle.get()), text.data(), text.size()),
            static_cast<ssize_t>(text.size()));
}

std::string get(const UniqueHandle& handle, std::size_t limit = 1 << 20) {
  std::string text(limit, '\0');
  const ssize_t count = ::read(static_cast<int>(handle.get()), text.data(), text.size());
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return text;
}

std::string send(VsockEndpoint& endpoint, std::size_t limit = 1 << 20) {
  std::vector<std::byte> bytes(limit);
  const std::size_t count = endpoint.send(bytes);
  return std::string(reinterpret_cast<const char*>(bytes.data()), count);
}

// The guest's side, as the vsock device drives it.
class AgentSessionTest : public testing::Test {
 protected:
  AgentSessionTest() {
    std::signal(SIGPIPE, SIG_IGN);  // as platform/signals.h does in the real process
    poller_ = std::move(*Poller::create());
    std::array<std::optional<Stream>, 3> streams;
    streams[0] = std::move(*Stream::adopt(in_.reader.get(), true));
    streams[1] = std::move(*Stream::adopt(out_.writer.get(), false));
    in_.reader.reset();
    out_.writer.reset();
    ports_ = AgentSession::ports(streams);
    session_ = std::make_unique<AgentSession>(std::vector<std::byte>(16), std::move(streams),
                                              *poller_, timeline_);
  }

  template <class T>
  void say(std::uint16_t type, const T& body) {
    const auto frame = encode_frame(type, std::as_bytes(std::span(&body, 1)));
    EXPECT_EQ(control_->receive(frame), frame.size());
  }
  void say_hello() {
    control_ = session_->accept(1, 5000, RUNHV_CONTROL_PORT);
    ASSERT_NE(control_, nullptr);
    say(RUNHV_MSG_HELLO, runhv_hello{RUNHV_PROTO_MAGIC, RUNHV_PROTO_VERSION, 0});
  }
  void start() {
    say_hello();
    (void)send(*control_);
    say(RUNHV_MSG_STARTED, runhv_started{0});
  }
  // Waits as the I/O thread does; the connections to wake.
  std::vector<VsockConnectionId> poll() {
    std::vector<VsockConnectionId> wakes;
    auto ready = poller_->wait(std::nullopt);
    for (const auto& event : *ready) {
      if (const auto id = session_->on_ready(event.token)) wakes.push_back(*id);
    }
    return wakes;
  }
  std::string failure() const {
    const auto view = session_->view();
    return view.failure ? view.failure->detail : "none";
  }

  Pipe in_;
  Pipe out_;
  Timeline timeline_;
  std::unique_ptr<Poller> poller_;
  runhv_stdio ports_{};
  std::unique_ptr<AgentSession> session_;
  std::unique_ptr<VsockEndpoint> control_;
};

TEST_F(AgentSessionTest, HelloIsAnsweredWithStart) {
  say_hello();
  EXPECT_EQ(session_->take_control_wake(), 1u);
  EXPECT_EQ(session_->take_control_wake(), std::nullopt);
  const std::string frame = send(*control_);
  EXPECT_EQ(load_le<std::uint16_t>(as_bytes(frame), 4), RUNHV_MSG_START);
  EXPECT_EQ(load_le<std::uint32_t>(as_bytes(frame), 0) + 8, frame.size());
  EXPECT_EQ(send(*control_), "");
}

TEST_F(AgentSessionTest, EachPortTakesOneConnectionAndOnlyAfterHello) {
  EXPECT_EQ(session_->accept(9, 1, ports_.stdin_port), nullptr);
  start();
  EXPECT_EQ(ports_.stderr_port, 0u);
  EXPECT_EQ(session_->accept(9, 1, RUNHV_CONTROL_PORT), nullptr);
  EXPECT_EQ(session_->accept(9, 1, RUNHV_FIRST_STREAM_PORT + 2), nullptr);
  EXPECT_EQ(session_->accept(9, 1, 0), nullptr);
  const auto first = session_->accept(10, 1, ports_.stdout_port);
  EXPECT_NE(first, nullptr);
  EXPECT_EQ(session_->accept(11, 1, ports_.stdout_port), nullptr);
}

TEST_F(AgentSessionTest, OrderOfMessagesIsKept) {
  start();
  say(RUNHV_MSG_HELLO, runhv_hello{RUNHV_PROTO_MAGIC, RUNHV_PROTO_VERSION, 0});
  EXPECT_EQ(failure(), "HELLO came twice");
}

TEST_F(AgentSessionTest, ExitedBeforeStartedIsALie) {
  say_hello();
  say(RUNHV_MSG_EXITED, runhv_exited{0, 0, 0, 0});
  EXPECT_EQ(failure(), "EXITED came out of order");
  EXPECT_FALSE(session_->view().end);
}

TEST_F(AgentSessionTest, SignalsWaitForTheAgentAndCoalesce) {
  session_->signal(15);
  session_->signal(15);
  session_->signal(10);
  say_hello();
  std::string all = send(*control_);
  all += send(*control_);
  const auto start_bytes = load_le<std::uint32_t>(as_bytes(all), 0) + 8;
  const std::string signals = all.substr(start_bytes);
  ASSERT_EQ(signals.size(), 32u);
  EXPECT_EQ(load_le<std::uint16_t>(as_bytes(signals), 4), RUNHV_MSG_SIGNAL);
  EXPECT_EQ(load_le<std::uint32_t>(as_bytes(signals), 12), 15u);
  EXPECT_EQ(load_le<std::uint32_t>(as_bytes(signals), 28), 10u);
}

TEST_F(AgentSessionTest, InputComesWhenThereIsSomeAndEnds) {
  start();
  const auto input = session_->accept(10, 1, ports_.stdin_port);
  EXPECT_EQ(send(*input), "");
  EXPECT_FALSE(input->send_finished());
  put(in_.writer, "hello");
  std::vector<VsockConnectionId> wakes;
  while (wakes.empty()) wakes = poll();
  EXPECT_EQ(wakes, std::vector<VsockConnectionId>{10});
  EXPECT_EQ(send(*input, 3), "hel");
  EXPECT_EQ(send(*input), "lo");
  in_.writer.reset();
  EXPECT_EQ(send(*input), "");
  EXPECT_TRUE(input->send_finished());
}

TEST_F(AgentSessionTest, OutputThatNobodyReadsPushesBackAndGoesOnLater) {
  start();
  const auto output = session_->accept(10, 1, ports_.stdout_port);
  const std::vector<std::byte> much(1 << 20, std::byte{'x'});
  std::size_t taken = output->receive(much);
  EXPECT_GT(taken, 0u);
  EXPECT_LT(taken, much.size());
  EXPECT_NE(timeline_.snapshot().start_ns[static_cast<std::size_t>(Stage::kFirstOutput)], 0u);

  std::size_t read = 0;
  while (taken < much.size()) {
    read += get(out_.reader).size();
    std::vector<VsockConnectionId> wakes;
    while (wakes.empty()) wakes = poll();
    taken += output->receive(std::span(much).subspan(taken));
  }
  output->on_guest_finished();
  EXPECT_TRUE(session_->view().delivered);
  while (read < much.size()) read += get(out_.reader).size();
  EXPECT_EQ(read, much.size());
}

TEST_F(AgentSessionTest, AReaderThatLeavesClosesTheConnection) {
  start();
  const auto output = session_->accept(10, 1, ports_.stdout_port);
  out_.reader.reset();
  EXPECT_EQ(output->receive(as_bytes("lost")), 4u);
  EXPECT_TRUE(output->closed());
  EXPECT_TRUE(session_->view().delivered);
}

TEST_F(AgentSessionTest, TheEndIsKeptAndOutputIsWaitedFor) {
  start();
  const auto output = session_->accept(10, 1, ports_.stdout_port);
  say(RUNHV_MSG_EXITED, runhv_exited{0, 1, 11, 0});
  const auto view = session_->view();
  ASSERT_TRUE(view.end);
  EXPECT_EQ(view.end->kind, ContainerEnd::Kind::kSignaled);
  EXPECT_EQ(view.end->value, 11);
  EXPECT_FALSE(view.delivered);
  say(RUNHV_MSG_EXITED, runhv_exited{0, 0, 3, 0});
  EXPECT_EQ(session_->view().end->value, 11);
  output->on_disconnect();
  EXPECT_TRUE(session_->view().delivered);
}

TEST_F(AgentSessionTest, TellsWhatOnlyTheGuestCanBringAbout) {
  using For = Patience::For;
  EXPECT_EQ(session_->waits_for().what, For::kHello);
  say_hello();
  EXPECT_EQ(session_->waits_for().what, For::kStarted);
  (void)send(*control_);
  say(RUNHV_MSG_STARTED, runhv_started{0});
  EXPECT_EQ(session_->waits_for().what, For::kNothing);
  const auto output = session_->accept(10, 1, ports_.stdout_port);
  say(RUNHV_MSG_EXITED, runhv_exited{0, 0, 0, 0});
  EXPECT_EQ(session_->waits_for().what, For::kOutput);

  const std::vector<std::byte> much(1 << 20, std::byte{'x'});
  const std::size_t taken = output->receive(much);
  EXPECT_TRUE(session_->waits_for().host_is_slow);
  EXPECT_EQ(session_->waits_for().output_bytes, taken);
  for (std::size_t read = 0; read < taken;) read += get(out_.reader).size();
  EXPECT_EQ(output->receive(as_bytes("y")), 1u);
  EXPECT_FALSE(session_->waits_for().host_is_slow);
  EXPECT_EQ(session_->waits_for().output_bytes, taken + 1);
}

TEST_F(AgentSessionTest, WhatComesAfterTheEndIsNotRead) {
  start();
  say(RUNHV_MSG_EXITED, runhv_exited{0, 0, 5, 0});
  say(RUNHV_MSG_EXITED, runhv_exited{0, 0, 6, 0});
  say(99, runhv_started{0});
  const std::vector<std::byte> noise(100'000, std::byte{0xff});
  EXPECT_EQ(control_->receive(noise), noise.size());
  EXPECT_EQ(failure(), "none");
  EXPECT_EQ(session_->view().end->value, 5);
}

TEST_F(AgentSessionTest, FailureToStartKeepsTheReason) {
  say_hello();
  std::vector<std::byte> payload(sizeof(runhv_failed));
  const runhv_failed failed{0, 2, 127};
  std::memcpy(payload.data(), &failed, sizeof failed);
  for (const char c : std::string("exec \"foo\"")) payload.push_back(static_cast<std::byte>(c));
  const auto frame = encode_frame(RUNHV_MSG_FAILED, payload);
  control_->receive(frame);
  const auto end = session_->view().end;
  ASSERT_TRUE(end);
  EXPECT_EQ(end->kind, ContainerEnd::Kind::kNotStarted);
  EXPECT_EQ(end->value, 127);
  EXPECT_EQ(to_string(*end->reason),
            "exec \"foo\": No such file or directory (errno 2 in the guest)");
}

}  // namespace
}  // namespace runhv
