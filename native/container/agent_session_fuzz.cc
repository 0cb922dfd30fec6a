// A hostile agent: connections, frames, bytes and ends in any order, while the host signals and its
// readers come and go. The session never lies: an end was said in its order, a failure has its
// reason, and what it keeps is bounded.

#include <unistd.h>

#include <array>
#include <csignal>
#include <memory>
#include <vector>

#include "base/check.h"
#include "container/agent_session.h"
#include "container/start_message.h"
#include "testing/fuzz.h"

namespace runhv {
namespace {

using testing::FuzzInput;

struct Pipe {
  Pipe() {
    int ends[2];
    RUNHV_CHECK(::pipe(ends) == 0);
    reader.reset(ends[0]);
    writer.reset(ends[1]);
  }
  UniqueHandle reader;
  UniqueHandle writer;
};

// A frame that is mostly one that the protocol knows.
std::vector<std::byte> frame(FuzzInput& input) {
  const std::uint8_t how = input.byte();
  const auto number = [&](std::uint32_t usual) {
    return (how & 0x80) != 0 ? input.take<std::uint32_t>() : usual;
  };
  std::array<std::uint32_t, 4> words{};
  std::size_t size = 0;
  std::uint16_t type = input.byte();
  switch (how % 6) {
    case 0:
      type = RUNHV_MSG_HELLO;
      words = {number(RUNHV_PROTO_MAGIC), number(RUNHV_PROTO_VERSION), 0, 0};
      size = sizeof(runhv_hello);
      break;
    case 1:
      type = RUNHV_MSG_STARTED;
      words = {number(0), 0, 0, 0};
      size = sizeof(runhv_started);
      break;
    case 2:
      type = RUNHV_MSG_FAILED;
      words = {number(0), number(2), number(127), 0};
      size = sizeof(runhv_failed);
      break;
    case 3:
      type = RUNHV_MSG_EXITED;
      words = {number(0), number(how >> 3 & 1), number(9), number(0)};
      size = sizeof(runhv_exited);
      break;
    default:
      break;
  }
  std::vector<std::byte> payload(sizeof words);
  for (std::size_t i = 0; i < words.size(); ++i) {
    store_le<std::uint32_t>(payload, 4 * i, words[i]);
  }
  payload.resize(size);
  if (how % 6 == 2 || how % 6 == 5) {
    const auto text = input.take_bytes(input.byte());
    payload.insert(payload.end(), text.begin(), text.end());
  }
  return encode_frame(type, payload);
}

class Run {
 public:
  explicit Run(FuzzInput& input) : input_(input) {
    static const auto ignored = std::signal(SIGPIPE, SIG_IGN);
    (void)ignored;
    auto poller = Poller::create();
    RUNHV_CHECK(poller);
    poller_ = *std::move(poller);
    std::array<std::optional<Stream>, 3> streams;
    streams[0] = adopt(in_.reader, true);
    streams[1] = adopt(out_.writer, false);
    session_ = std::make_unique<AgentSession>(std::vector<std::byte>(16), std::move(streams),
                                              *poller_, timeline_);
  }

  ~Run() {
    for (Open& open : open_) {
      if (open.endpoint) open.endpoint->on_disconnect();
    }
  }

  void step() {
    switch (input_.below(12)) {
      case 0:
        connect();
        break;
      case 1:
      case 2:
      case 3:
        say(frame(input_));
        break;
      case 4: {
        const auto raw = input_.take_bytes(input_.byte());
        say({raw.begin(), raw.end()});
        break;
      }
      case 5:
        listen();
        break;
      case 6:
        signal();
        break;
      case 7:
        end_connection();
        break;
      case 8:
        send_output();
        break;
      case 9:
        out_.reader.reset();
        break;
      case 10:
        in_.writer.reset();
        break;
      default:
        say_hello_first();
        break;
    }
    check();
  }

 private:
  struct Open {
    std::uint32_t port;
    std::unique_ptr<VsockEndpoint> endpoint;
  };

  static Stream adopt(UniqueHandle& handle, bool for_reading) {
    auto stream = Stream::adopt(handle.get(), for_reading);
    RUNHV_CHECK(stream);
    handle.reset();
    return *std::move(stream);
  }

  void connect_to(std::uint32_t port) {
    auto endpoint = session_->accept(next_id_++, 5000, port);
    if (!endpoint) return;
    for (const Open& open : open_) RUNHV_CHECK(open.port != port);  // each port once
    if (port != RUNHV_CONTROL_PORT) RUNHV_CHECK(session_->heard());
    open_.push_back({port, std::move(endpoint)});
  }
  void connect() { connect_to(RUNHV_CONTROL_PORT - 1 + input_.below(6)); }

  VsockEndpoint* control() {
    for (const Open& open : open_) {
      if (open.port == RUNHV_CONTROL_PORT) return open.endpoint.get();
    }
    return nullptr;
  }

  void say(const std::vector<std::byte>& bytes) {
    if (VsockEndpoint* to = control()) RUNHV_CHECK(to->receive(bytes) == bytes.size());
  }

  // So that most programs come further than their first message.
  void say_hello_first() {
    if (control() == nullptr) connect_to(RUNHV_CONTROL_PORT);
    if (session_->heard()) return;
    const runhv_hello hello{RUNHV_PROTO_MAGIC, RUNHV_PROTO_VERSION, 0};
    say(encode_frame(RUNHV_MSG_HELLO, std::as_bytes(std::span(&hello, 1))));
  }

  Open* some_connection() {
    if (open_.empty()) return nullptr;
    Open& open = open_[input_.byte() % open_.size()];
    return open.endpoint ? &open : nullptr;
  }

  void listen() {
    std::vector<std::byte> out(input_.take<std::uint16_t>());
    if (const Open* open = some_connection()) {
      const std::size_t count = open->endpoint->send(out);
      RUNHV_CHECK(count <= out.size());
      if (open->port == RUNHV_CONTROL_PORT) heard_bytes_ += count;
    }
  }

  void send_output() {
    const std::vector<std::byte> data(input_.take<std::uint16_t>(), std::byte{'x'});
    Open* open = some_connection();
    if (open == nullptr || open->port == RUNHV_CONTROL_PORT || data.empty()) return;
    RUNHV_CHECK(open->endpoint->receive(data) <= data.size());
  }

  void signal() {
    session_->signal(1 + static_cast<int>(input_.below(64)));
    ++signals_;
  }

  void end_connection() {
    const bool finish_only = input_.below(2) == 0;
    Open* open = some_connection();
    if (open == nullptr) return;
    if (finish_only) return open->endpoint->on_guest_finished();
    open->endpoint->on_disconnect();
    open->endpoint.reset();
  }

  void check() {
    (void)session_->take_control_wake();
    const AgentSession::View view = session_->view();
    if (view.failure) RUNHV_CHECK(!view.failure->detail.empty());
    if (view.end) {
      // Nothing that comes later changes it.
      if (!end_) end_ = view.end;
      RUNHV_CHECK(end_->kind == view.end->kind && end_->value == view.end->value);
      RUNHV_CHECK(session_->heard());
      RUNHV_CHECK(view.end->kind != ContainerEnd::Kind::kNotStarted || view.end->reason);
      RUNHV_CHECK(view.end->value >= 0 && view.end->value <= 255);
    }
    // START, and a frame of 16 bytes for each signal at most.
    constexpr std::uint64_t kStartBytes = 256;
    RUNHV_CHECK(heard_bytes_ <= kStartBytes + 16 * signals_);
  }

  FuzzInput& input_;
  Pipe in_;
  Pipe out_;
  Timeline timeline_;
  std::unique_ptr<Poller> poller_;
  std::unique_ptr<AgentSession> session_;
  std::vector<Open> open_;
  VsockConnectionId next_id_ = 1;
  std::uint64_t heard_bytes_ = 0;
  std::uint64_t signals_ = 0;
  std::optional<ContainerEnd> end_;
};

}  // namespace

void fuzz(std::span<const std::byte> bytes) {
  FuzzInput input(bytes);
  Run run(input);
  while (!input.empty()) run.step();
}

}  // namespace runhv
