#include "control/client.h"

#include <array>

#include "control/answer.h"
#include "platform/clock.h"
#include "platform/os_error.h"

namespace runhv::control {
namespace {

constexpr const char* kOperation = "ask the container's process";

Fail<Error> closed() { return Fail{Error{Code::kClosed, kOperation, "it has ended"}}; }

}  // namespace

Result<Client> Client::connect(const std::string& path, std::uint64_t deadline_ns) {
  RUNHV_TRY_ASSIGN(auto loop, EventLoop::create());
  RUNHV_TRY_ASSIGN(LocalConnection connected, LocalConnection::connect(path));
  auto connection = std::make_unique<LocalConnection>(std::move(connected));
  RUNHV_TRY(connection->bind(*loop));
  Client client(std::move(loop), std::move(connection), deadline_ns);
  auto hello = sized<runhv_control_hello>();
  hello.version = RUNHV_CONTROL_VERSION;
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

Result<std::vector<std::byte>> Client::ask(std::uint32_t type, std::span<const std::byte> payload) {
  const std::uint32_t request = next_request_++;
  RUNHV_TRY(send(encode_frame(type, request, payload)));
  while (true) {
    RUNHV_TRY_ASSIGN(const Frame frame, receive());
    RUNHV_TRY_ASSIGN(auto parsed, parse_answer(frame));
    if (auto* refusal = std::get_if<Refusal>(&parsed)) return Fail{std::move(refusal->error)};
    auto* answer = std::get_if<Answer>(&parsed);
    if (answer != nullptr && answer->request == request) return std::move(answer->payload);
  }
}

Result<void> Client::signal(runhv_process process, int signal) {
  auto structure = sized<runhv_control_signal>();
  structure.process = process;
  structure.signal = signal;
  RUNHV_TRY(ask(RUNHV_CONTROL_SIGNAL, structure_bytes(structure)));
  return {};
}

template <class Arm>
Result<void> Client::wait_for(const Arm& arm) {
  bool ready = false;
  arm([&ready] { ready = true; });
  while (!ready) {
    if (monotonic_ns() >= deadline_ns_) {
      arm(nullptr);
      return Fail{Error{Code::kTimedOut, kOperation, "it does not answer"}};
    }
    RUNHV_TRY(loop_->run_once(deadline_ns_));
  }
  return {};
}

Result<void> Client::send(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const IoResult written = connection_->write(bytes);
    switch (written.status) {
      case IoStatus::kDone:
        bytes = bytes.subspan(written.bytes);
        break;
      case IoStatus::kWouldBlock:
        RUNHV_TRY(
            wait_for([this](Handler handler) { connection_->on_writable(std::move(handler)); }));
        break;
      case IoStatus::kEnd:
        return closed();
      case IoStatus::kFailed:
        return Fail{os_error(kOperation, written.os_code)};
    }
  }
  return {};
}

Result<Frame> Client::receive() {
  while (true) {
    RUNHV_TRY_ASSIGN(auto frame, reader_.next());
    if (frame) return *std::move(frame);
    std::array<std::byte, 4096> bytes;
    const IoResult read = connection_->read(bytes);
    switch (read.status) {
      case IoStatus::kDone:
        reader_.append(std::span(bytes).first(read.bytes));
        break;
      case IoStatus::kWouldBlock:
        RUNHV_TRY(
            wait_for([this](Handler handler) { connection_->on_readable(std::move(handler)); }));
        break;
      case IoStatus::kEnd:
        return closed();
      case IoStatus::kFailed:
        return Fail{os_error(kOperation, read.os_code)};
    }
  }
}

}  // namespace runhv::control
