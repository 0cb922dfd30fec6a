#include "control/client.h"

#include <array>

#include "base/bytes.h"
#include "control/answer.h"
#include "platform/clock.h"
#include "platform/os_error.h"
#include "platform/random.h"

namespace runhv::control {
namespace {

constexpr const char* kOperation = "ask the container's process";

Fail<Error> closed() { return Fail{Error{Code::kClosed, kOperation, "it has ended"}}; }
Fail<Error> no_answer() { return Fail{Error{Code::kTimedOut, kOperation, "it does not answer"}}; }

}  // namespace

Result<Client> Client::connect(const std::string& path, Deadline deadline, Events events) {
  RUNHV_TRY_ASSIGN(platform::LocalConnection connection, platform::LocalConnection::connect(path));
  return greet_at(path, std::move(connection), deadline, events);
}

Result<Client> Client::greet(platform::LocalConnection greeted, Deadline deadline, Events events) {
  return greet_at("", std::move(greeted), deadline, events);
}

Result<Client> Client::greet_at(std::string path, platform::LocalConnection greeted,
                                Deadline deadline, Events events) {
  RUNHV_TRY_ASSIGN(auto loop, platform::EventLoop::create());
  auto connection = std::make_unique<platform::LocalConnection>(std::move(greeted));
  RUNHV_TRY(connection->bind(*loop));
  Client client(std::move(path), std::move(loop), std::move(connection), deadline, events);
  auto hello = api::sized<runhv_control_hello>();
  hello.version = RUNHV_CONTROL_VERSION;
  hello.flags = client.keeps_events_ ? RUNHV_CONTROL_WANTS_EVENTS : 0;
  RUNHV_TRY_ASSIGN(const std::vector<std::byte> answer,
                   client.ask(RUNHV_CONTROL_HELLO, structure_bytes(hello)));
  std::span<const std::byte> payload(answer);
  RUNHV_TRY_ASSIGN(const auto theirs, take_structure<runhv_control_hello>(payload));
  if (theirs.version != RUNHV_CONTROL_VERSION) {
    return Fail{Error{Code::kUnsupported, kOperation,
                      "it speaks version " + std::to_string(theirs.version) +
                          " of the control channel, this command version " +
                          std::to_string(RUNHV_CONTROL_VERSION)}};
  }
  return client;
}

Result<std::vector<std::byte>> Client::ask(std::uint32_t type, std::span<const std::byte> payload,
                                           std::span<const platform::OsHandle> handles) {
  if (handles.size() > RUNHV_CONTROL_MAX_HANDLES) {
    return Fail{Error{Code::kUnsupported, kOperation,
                      std::to_string(handles.size()) +
                          " descriptors (streams, others of the process, taps) are more than the " +
                          std::to_string(RUNHV_CONTROL_MAX_HANDLES) + " of a request"}};
  }
  const std::uint32_t request = next_request_++;
  RUNHV_TRY(send(encode_frame(type, request, payload, static_cast<std::uint16_t>(handles.size())),
                 handles));
  while (true) {
    RUNHV_TRY_ASSIGN(const Frame frame, receive());
    RUNHV_TRY_ASSIGN(auto parsed, parse_answer(frame));
    if (auto* refusal = std::get_if<Refusal>(&parsed)) return Fail{std::move(refusal->error)};
    if (const auto* event = std::get_if<Event>(&parsed)) keep(event->value);
    auto* answer = std::get_if<Answer>(&parsed);
    if (answer != nullptr && answer->request == request) return std::move(answer->payload);
  }
}

bool Client::is_late() const { return deadline_ && platform::monotonic_ns() >= *deadline_; }

void Client::keep(const runhv_event& event) {
  if (keeps_events_) events_.push_back(event);
}

Result<std::optional<runhv_event>> Client::event(platform::SignalQueue* signals) {
  while (events_.empty()) {
    RUNHV_TRY_ASSIGN(const std::optional<Frame> frame, receive_now());
    if (frame) {
      RUNHV_TRY_ASSIGN(const auto parsed, parse_answer(*frame));
      if (const auto* event = std::get_if<Event>(&parsed)) keep(event->value);
      continue;
    }
    bool signalled = false;
    if (signals != nullptr) signals->on_signal([&signalled] { signalled = true; });
    bool readable = false;
    connection_->on_readable([&readable] { readable = true; });
    while (!readable && !signalled && !is_late()) RUNHV_TRY(loop_->run_once(deadline_));
    connection_->on_readable(nullptr);
    if (signals != nullptr) signals->on_signal(nullptr);
    if (signalled) return std::optional<runhv_event>();
    if (!readable) return no_answer();
  }
  const runhv_event event = events_.front();
  events_.pop_front();
  return std::optional(event);
}

Result<void> Client::signal(runhv_process process, int signal) {
  auto structure = api::sized<runhv_control_signal>();
  structure.process = process;
  structure.signal = signal;
  RUNHV_TRY(ask(RUNHV_CONTROL_SIGNAL, structure_bytes(structure)));
  return {};
}

Result<void> Client::update(runhv_process container, std::string_view json) {
  auto update = api::sized<runhv_control_update>();
  update.json_bytes = static_cast<std::uint32_t>(json.size());
  update.container = container;
  const auto head = structure_bytes(update);
  std::vector<std::byte> payload(head.begin(), head.end());
  const auto tail = as_bytes(json);
  payload.insert(payload.end(), tail.begin(), tail.end());
  RUNHV_TRY(ask(RUNHV_CONTROL_UPDATE, payload));
  return {};
}

Result<runhv_process> Client::begin(std::uint32_t type, runhv_control_process_start start,
                                    std::string_view text, std::span<const platform::OsHandle> ends,
                                    std::span<const platform::OsHandle> more,
                                    std::span<const std::byte> network) {
  start.flags |= RUNHV_CONTROL_ENDS_WITH_CLIENT;
  start.json_bytes = static_cast<std::uint32_t>(text.size());
  std::vector<platform::OsHandle> handles;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    if (ends[i] == platform::kInvalidHandle) continue;
    if (platform::LocalConnection::carries_handles()) {
      start.ends[i] = RUNHV_CONTROL_END_HANDLE;
      handles.push_back(ends[i]);
    } else {
      start.ends[i] = RUNHV_CONTROL_END_STREAM;
      RUNHV_TRY_ASSIGN(start.tokens[i], carry(ends[i], i == 0));
    }
  }
  start.descriptors = static_cast<std::uint32_t>(more.size()) - start.taps;
  handles.insert(handles.end(), more.begin(), more.end());
  const auto head = structure_bytes(start);
  std::vector<std::byte> payload(head.begin(), head.end());
  const auto tail = as_bytes(text);
  payload.insert(payload.end(), tail.begin(), tail.end());
  payload.insert(payload.end(), network.begin(), network.end());
  RUNHV_TRY_ASSIGN(const std::vector<std::byte> answer, ask(type, payload, handles));
  std::span<const std::byte> rest(answer);
  RUNHV_TRY_ASSIGN(const auto number, take_structure<runhv_control_process>(rest));
  return number.process;
}

Result<std::uint64_t> Client::carry(platform::OsHandle end, bool to_guest) {
  RUNHV_TRY_ASSIGN(platform::Stream ours, platform::Stream::adopt(end, to_guest));
  RUNHV_TRY_ASSIGN(auto connected, platform::LocalConnection::connect(path_));
  RUNHV_TRY_ASSIGN(auto loop, platform::EventLoop::create());
  auto connection = std::make_unique<platform::LocalConnection>(std::move(connected));
  RUNHV_TRY(connection->bind(*loop));
  Client carrier("", std::move(loop), std::move(connection), deadline_, Events::kPassedOver);
  auto keep = api::sized<runhv_control_stream>();
  while (keep.token == 0) {
    platform::fill_random(std::as_writable_bytes(std::span(&keep.token, 1)));
  }
  RUNHV_TRY(carrier.ask(RUNHV_CONTROL_STREAM, structure_bytes(keep)));
  platform::UniqueHandle handle = std::move(*carrier.connection_).release();
  RUNHV_TRY_ASSIGN(platform::Stream theirs,
                   platform::Stream::adopt_owned(std::move(handle), !to_guest));
  auto& copies = to_guest ? inputs_ : outputs_;
  RUNHV_TRY_ASSIGN(auto copy, to_guest
                                  ? StreamCopy::begin(*loop_, std::move(ours), std::move(theirs))
                                  : StreamCopy::begin(*loop_, std::move(theirs), std::move(ours)));
  copies.push_back(std::move(copy));
  return keep.token;
}

Result<void> Client::deliver() {
  for (const auto& output : outputs_) {
    while (!output->has_ended()) RUNHV_TRY(loop_->run_once(std::nullopt));
    if (output->failure()) return Fail{*output->failure()};
  }
  return {};
}

template <class Arm>
Result<void> Client::wait_for(const Arm& arm) {
  bool ready = false;
  arm([&ready] { ready = true; });
  while (!ready) {
    if (is_late()) {
      arm(nullptr);
      return no_answer();
    }
    RUNHV_TRY(loop_->run_once(deadline_));
  }
  return {};
}

Result<void> Client::send(std::span<const std::byte> bytes,
                          std::span<const platform::OsHandle> handles) {
  while (!bytes.empty()) {
    const platform::IoResult written = connection_->send(bytes, handles);
    switch (written.status) {
      case platform::IoStatus::kDone:
        bytes = bytes.subspan(written.bytes);
        handles = {};
        break;
      case platform::IoStatus::kWouldBlock:
        RUNHV_TRY(wait_for(
            [this](platform::Handler handler) { connection_->on_writable(std::move(handler)); }));
        break;
      case platform::IoStatus::kEnd:
        return closed();
      case platform::IoStatus::kFailed:
        return Fail{platform::os_error(kOperation, written.os_code)};
    }
  }
  return {};
}

Result<Frame> Client::receive() {
  while (true) {
    RUNHV_TRY_ASSIGN(auto frame, receive_now());
    if (frame) return *std::move(frame);
    RUNHV_TRY(wait_for(
        [this](platform::Handler handler) { connection_->on_readable(std::move(handler)); }));
  }
}

// nullopt: there is no whole one yet, and nothing to read.
Result<std::optional<Frame>> Client::receive_now() {
  while (true) {
    RUNHV_TRY_ASSIGN(auto frame, reader_.next());
    if (frame) return frame;
    std::array<std::byte, 4096> bytes;
    const platform::IoResult read = connection_->read(bytes);
    switch (read.status) {
      case platform::IoStatus::kDone:
        reader_.append(std::span(bytes).first(read.bytes));
        break;
      case platform::IoStatus::kWouldBlock:
        return std::optional<Frame>();
      case platform::IoStatus::kEnd:
        return closed();
      case platform::IoStatus::kFailed:
        return Fail{platform::os_error(kOperation, read.os_code)};
    }
  }
}

}  // namespace runhv::control
