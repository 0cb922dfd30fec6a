#include "container/agent_session.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/bytes.h"
#include "container/start_message.h"
#include "platform/clock.h"
#include "platform/random.h"

namespace runhv {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

constexpr std::uint32_t port_of(std::size_t stream) {
  return RUNHV_FIRST_STREAM_PORT + static_cast<std::uint32_t>(stream);
}

Error not_started(const AgentFailed& failed) {
  const Code code = failed.exit_status == 127   ? Code::kNotFound
                    : failed.exit_status == 126 ? Code::kAccessDenied
                                                : Code::kGuestFailed;
  Error error{code, failed.text, "", Domain::kNone, 0};
  if (failed.guest_errno > 0) {
    error.detail = std::generic_category().message(failed.guest_errno);
    error.domain = Domain::kGuestErrno;
    error.os_code = failed.guest_errno;
  }
  return error;
}

}  // namespace

class AgentSession::Control final : public VsockEndpoint {
 public:
  explicit Control(AgentSession& session) : session_(session) {}
  // Never pushes back: the agent says little, and the parser's memory is bounded.
  std::size_t receive(std::span<const std::byte> data) override {
    session_.receive(data);
    return data.size();
  }
  std::size_t send(std::span<std::byte> out) override { return session_.send(out); }
  bool send_finished() const override { return false; }
  bool closed() const override { return false; }
  void on_guest_finished() override { session_.on_lost(); }
  void on_disconnect() override { session_.on_lost(); }

 private:
  AgentSession& session_;
};

AgentSession::AgentSession(std::vector<std::byte> start,
                           std::array<std::optional<Stream>, 3> streams, Poller& poller,
                           Timeline& timeline)
    : poller_(poller), timeline_(timeline), start_(std::move(start)) {
  for (std::size_t i = 0; i < streams.size(); ++i) {
    if (!streams[i]) continue;
    streams_[i] = std::make_unique<StreamPort>(
        i == 0 ? StreamPort::Direction::kToGuest : StreamPort::Direction::kToHost,
        std::move(*streams[i]), poller, i,
        [&] { timeline_.mark(Stage::kFirstOutput, monotonic_ns()); }, [&] { poller_.wake(); });
  }
}

AgentSession::~AgentSession() = default;

runhv_stdio AgentSession::ports(const std::array<std::optional<Stream>, 3>& streams) {
  const auto port = [&](std::size_t i) { return streams[i] ? port_of(i) : 0; };
  return {port(0), port(1), port(2), 0};
}

std::unique_ptr<VsockEndpoint> AgentSession::accept(VsockConnectionId id, std::uint32_t,
                                                    std::uint32_t host_port) {
  const std::lock_guard lock(mutex_);
  if (host_port == RUNHV_CONTROL_PORT) {
    if (control_) return nullptr;
    control_ = id;
    return std::make_unique<Control>(*this);
  }
  if (state_ != State::kExpectStarted && state_ != State::kRunning) return nullptr;
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    if (streams_[i] && host_port == port_of(i)) return streams_[i]->connect(id);
  }
  return nullptr;
}

bool AgentSession::heard() const {
  const std::lock_guard lock(mutex_);
  return state_ != State::kExpectHello;
}

bool AgentSession::started() const {
  const std::lock_guard lock(mutex_);
  return state_ == State::kRunning || state_ == State::kEnded;
}

Patience::Look AgentSession::waits_for() const {
  Patience::Look look{.what = Patience::For::kNothing};
  {
    const std::lock_guard lock(mutex_);
    switch (state_) {
      case State::kExpectHello:
        look.what = Patience::For::kHello;
        break;
      case State::kExpectStarted:
        look.what = Patience::For::kStarted;
        break;
      case State::kRunning:
        break;
      case State::kEnded:
        look.what = Patience::For::kOutput;
        break;
    }
  }
  for (std::size_t i = 1; i < streams_.size(); ++i) {
    if (streams_[i] == nullptr) continue;
    look.output_bytes += streams_[i]->received_bytes();
    look.host_is_slow = look.host_is_slow || streams_[i]->host_is_slow();
  }
  return look;
}

std::optional<VsockConnectionId> AgentSession::on_ready(std::uint64_t token) {
  if (token >= streams_.size() || !streams_[token]) return std::nullopt;
  return streams_[token]->on_ready();
}

std::optional<VsockConnectionId> AgentSession::take_control_wake() {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(control_wake_, false) || lost_) return std::nullopt;
  return control_;
}

void AgentSession::signal(int signal) {
  {
    const std::lock_guard lock(mutex_);
    if (state_ == State::kEnded || std::ranges::find(signals_, signal) != signals_.end()) return;
    signals_.push_back(signal);
    append_signals();
  }
  poller_.wake();
}

void AgentSession::power_off() {
  const std::lock_guard lock(mutex_);
  append_frame(RUNHV_MSG_POWER_OFF, {});
}

AgentSession::View AgentSession::view() const {
  View now;
  {
    const std::lock_guard lock(mutex_);
    now.failure = failure_;
    now.end = end_;
    now.lost = lost_;
  }
  for (const auto& port : streams_) {
    if (port != nullptr && !now.lost_bytes) now.lost_bytes = port->failure();
  }
  now.delivered = std::all_of(streams_.begin() + 1, streams_.end(), [](const auto& port) {
    return port == nullptr || !port->connected() || port->finished();
  });
  return now;
}

void AgentSession::receive(std::span<const std::byte> data) {
  {
    const std::lock_guard lock(mutex_);
    if (failure_ || state_ == State::kEnded) return;
    std::vector<AgentMessage> messages;
    const auto parsed = parser_.push(data, messages);
    for (const AgentMessage& message : messages) {
      if (!failure_) on_message(message);
    }
    if (!parsed && !failure_) failure_ = parsed.error();
  }
  poller_.wake();
}

void AgentSession::on_message(const AgentMessage& message) {
  std::visit(
      Overloaded{
          [&](const AgentHello&) {
            if (state_ != State::kExpectHello) return fail("HELLO came twice");
            state_ = State::kExpectStarted;
            std::array<std::byte, kStartEntropyBytes> entropy;
            fill_random(entropy);
            append_identity(start_, realtime_ns(), entropy);
            append_frame(RUNHV_MSG_START, start_);
            start_.clear();
          },
          [&](const AgentStarted&) {
            if (state_ != State::kExpectStarted) return fail("STARTED came out of order");
            state_ = State::kRunning;
          },
          [&](const AgentFailed& failed) {
            if (state_ != State::kExpectStarted) return fail("FAILED came out of order");
            end_with({ContainerEnd::Kind::kNotStarted, failed.exit_status, not_started(failed)});
          },
          [&](const AgentExited& exited) {
            if (state_ != State::kRunning) return fail("EXITED came out of order");
            end_with({exited.signaled ? ContainerEnd::Kind::kSignaled : ContainerEnd::Kind::kExited,
                      exited.value, std::nullopt, exited.oom_kills});
          }},
      message);
}

void AgentSession::fail(const std::string& detail) {
  failure_ = Error{Code::kGuestFailed, "listen to the agent", detail};
}

void AgentSession::end_with(ContainerEnd end) {
  timeline_.mark(Stage::kExit, monotonic_ns());
  state_ = State::kEnded;
  end_ = std::move(end);
}

void AgentSession::append_frame(std::uint16_t type, std::span<const std::byte> payload) {
  const std::vector<std::byte> frame = encode_frame(type, payload);
  outgoing_.insert(outgoing_.end(), frame.begin(), frame.end());
  control_wake_ = true;
}

// Only while nothing else is on its way, so that a guest that does not listen cannot make the queue
// grow.
void AgentSession::append_signals() {
  const bool heard = state_ == State::kExpectStarted || state_ == State::kRunning;
  if (!heard || !outgoing_.empty()) return;
  for (const int signal : std::exchange(signals_, {})) {
    std::array<std::byte, sizeof(runhv_signal)> payload{};
    store_le<std::uint32_t>(payload, offsetof(runhv_signal, signal),
                            static_cast<std::uint32_t>(signal));
    append_frame(RUNHV_MSG_SIGNAL, payload);
  }
}

std::size_t AgentSession::send(std::span<std::byte> out) {
  const std::lock_guard lock(mutex_);
  const std::size_t count = std::min(out.size(), outgoing_.size() - sent_);
  std::copy_n(outgoing_.begin() + static_cast<std::ptrdiff_t>(sent_), count, out.begin());
  sent_ += count;
  if (sent_ == outgoing_.size()) {
    outgoing_.clear();
    sent_ = 0;
    append_signals();
    if (control_wake_) poller_.wake();
  }
  return count;
}

void AgentSession::on_lost() {
  {
    const std::lock_guard lock(mutex_);
    lost_ = true;
  }
  poller_.wake();
}

}  // namespace runhv
