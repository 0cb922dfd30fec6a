#include "container/process.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/check.h"

namespace runhv::container {
namespace {

constexpr std::uint32_t kStandardStreams = 3;
constexpr std::uint32_t kPortsOfAProcess = kStandardStreams + kMaxDescriptors;
static_assert(kMaxDescriptors == RUNHV_MAX_DESCRIPTORS);
constexpr ProcessNumber kMostNumber = (UINT32_MAX - RUNHV_FIRST_STREAM_PORT) / kPortsOfAProcess - 1;

constexpr std::array<const char*, kStandardStreams> kStreamNames{"stdin", "stdout", "stderr"};

std::uint32_t port_number(ProcessNumber process, std::uint32_t index) {
  return RUNHV_FIRST_STREAM_PORT + process * kPortsOfAProcess + index;
}

std::string name_of(ProcessNumber process) {
  return process == kFirstProcess ? "the container" : "process " + std::to_string(process);
}

Fail<Error> out_of_order(const char* message) {
  return Fail{Error{Code::kGuestFailed, "listen to the agent",
                    std::string(message) + " came out of order"}};
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

Result<std::unique_ptr<Process>> Process::create(ProcessNumber number, const ProcessSpec& spec,
                                                 HostStreams streams, platform::EventLoop& loop,
                                                 AgentChannel& channel,
                                                 const StreamPort::Hooks& hooks,
                                                 std::uint64_t guest_memory_bytes,
                                                 const ProcessPlace& place) {
  if (number > kMostNumber) {
    return Fail{Error{Code::kConflict, "start a process", "the container has had too many"}};
  }
  std::unique_ptr<Process> process(new Process(number, spec.terminal, channel, guest_memory_bytes));
  runhv_stdio stdio{};
  std::array<std::uint32_t*, 3> fields{&stdio.stdin_port, &stdio.stdout_port, &stdio.stderr_port};
  const auto make = [&](StreamPort::Direction direction, const char* what) {
    return std::make_shared<StreamPort>(loop, direction, name_of(number) + "'s " + what, hooks);
  };
  if (spec.terminal) {
    stdio.flags = RUNHV_STDIO_TERMINAL;
    stdio.columns = spec.columns;
    stdio.rows = spec.rows;
    stdio.stdin_port = port_number(number, 0);
    auto port = make(StreamPort::Direction::kBoth, "terminal");
    if (streams[0]) RUNHV_TRY(port->attach_input(std::move(streams[0])));
    if (streams[1]) RUNHV_TRY(port->attach_output(std::move(streams[1])));
    process->ports_.push_back({stdio.stdin_port, std::move(port)});
  } else {
    for (std::uint32_t i = 0; i < streams.size(); ++i) {
      if (!streams[i]) continue;
      *fields[i] = port_number(number, i);
      auto port = make(i == 0 ? StreamPort::Direction::kToGuest : StreamPort::Direction::kToHost,
                       kStreamNames[i]);
      RUNHV_TRY(i == 0 ? port->attach_input(std::move(streams[i]))
                       : port->attach_output(std::move(streams[i])));
      process->ports_.push_back({*fields[i], std::move(port)});
    }
  }
  RUNHV_TRY_ASSIGN(process->request_, encode_process(number, spec, stdio, place));
  return process;
}

Result<void> Process::add_descriptor(HostDescriptor descriptor, platform::EventLoop& loop,
                                     const StreamPort::Hooks& hooks) {
  const std::uint32_t number = next_descriptor_++;
  RUNHV_CHECK(number < kPortsOfAProcess);
  auto stream = std::make_shared<StreamPort>(
      loop,
      descriptor.for_reading ? StreamPort::Direction::kToGuest : StreamPort::Direction::kToHost,
      name_of(number_) + "'s descriptor " + std::to_string(number), hooks);
  RUNHV_TRY(descriptor.for_reading ? stream->attach_input(std::move(descriptor.end))
                                   : stream->attach_output(std::move(descriptor.end)));
  const runhv_descriptor told{port_number(number_, number),
                              descriptor.for_reading ? 0 : unsigned{RUNHV_DESCRIPTOR_TO_HOST}};
  append_descriptor(request_, told);
  ports_.push_back({told.port, std::move(stream)});
  return {};
}

Process::~Process() {
  for (const Port& port : ports_) {
    channel_.forget(port.number);
    port.stream->close();
  }
}

void Process::say(std::uint16_t type, std::span<const std::byte> payload) {
  channel_.send(encode_frame(type, payload));
}

void Process::prepare(bool execute) {
  offer(execute);
  on_heard();
}

void Process::offer(bool execute) {
  executes_ = execute;
  if (execute) add_execute(request_);
  for (const Port& port : ports_) channel_.expect(port.number, port.stream);
  say(RUNHV_MSG_PREPARE, request_);
  request_ = {};
}

void Process::on_heard() { phase_ = executes_ ? Phase::kStarting : Phase::kPreparing; }

void Process::execute() {
  channel_.send(encode_execute(number_));
  phase_ = Phase::kStarting;
}

Result<void> Process::on_prepared() {
  if (phase_ != Phase::kPreparing) return out_of_order("PREPARED");
  phase_ = Phase::kPrepared;
  return {};
}

Result<void> Process::on_started() {
  if (phase_ != Phase::kStarting) return out_of_order("STARTED");
  phase_ = Phase::kRunning;
  return {};
}

Result<void> Process::on_failed(const AgentFailed& failed) {
  if (phase_ != Phase::kPreparing && phase_ != Phase::kStarting) return out_of_order("FAILED");
  end({ExitStatus::Kind::kNotStarted, failed.exit_status, not_started(failed)});
  return {};
}

Result<void> Process::on_exited(const AgentExited& exited) {
  if (phase_ != Phase::kRunning) return out_of_order("EXITED");
  end({exited.signaled ? ExitStatus::Kind::kSignaled : ExitStatus::Kind::kExited, exited.value,
       std::nullopt, exited.oom_kills});
  return {};
}

void Process::end_with_container(const Error& reason) {
  if (phase_ == Phase::kRunning) {
    end({ExitStatus::Kind::kSignaled, 9, std::nullopt});
  } else {
    end({ExitStatus::Kind::kNotStarted, 125, reason});
  }
}

void Process::end(ExitStatus status) {
  phase_ = Phase::kEnded;
  status_ = std::move(status);
}

void Process::signal(int signal) {
  if (std::ranges::find(signals_, signal) == signals_.end()) signals_.push_back(signal);
}

Result<void> Process::resize(std::uint16_t columns, std::uint16_t rows) {
  if (!terminal_) {
    return Fail{
        Error{Code::kConflict, "resize " + name_of(number_) + "'s terminal", "it has no terminal"}};
  }
  size_ = {columns, rows};
  return {};
}

StreamPort* Process::port_of(int stream) const {
  // A terminal has one port for stdin and stdout.
  const std::uint32_t index = terminal_ && stream == 1 ? 0 : static_cast<std::uint32_t>(stream);
  const auto port = std::ranges::find(ports_, port_number(number_, index), &Port::number);
  return port == ports_.end() ? nullptr : port->stream.get();
}

Result<void> Process::attach(int stream, std::optional<platform::Stream> end) {
  const auto place = static_cast<std::size_t>(stream);
  const std::string operation =
      "attach to " + name_of(number_) + "'s " + (place < 3 ? kStreamNames[place] : "stream");
  if (place >= kStreamNames.size()) {
    return Fail{Error{Code::kInvalidArgument, operation, "streams are 0, 1 and 2"}};
  }
  StreamPort* const port = port_of(stream);
  if (port == nullptr) {
    return Fail{Error{Code::kConflict, operation, "it was given the null device"}};
  }
  return stream == 0 ? port->attach_input(std::move(end)) : port->attach_output(std::move(end));
}

void Process::flush() {
  if (phase_ == Phase::kQueued || phase_ == Phase::kEnded) return;
  if (const auto size = std::exchange(size_, std::nullopt)) {
    channel_.send(encode_resize(number_, size->first, size->second));
  }
  for (const int signal : std::exchange(signals_, {})) {
    channel_.send(encode_signal(number_, signal));
  }
}

Process::View Process::view() const {
  View view;
  // What was never in place has written nothing; its streams stay open in the agent.
  const bool written = !status_ || status_->kind != ExitStatus::Kind::kNotStarted;
  for (const Port& port : ports_) {
    const StreamPort::View stream = port.stream->view();
    if (!view.failure) view.failure = stream.failure;
    if (!port.stream->takes_output() || !written || outputs_given_up_) continue;
    if (status_ && !stream.connected && !view.failure) {
      view.failure = Error{Code::kGuestFailed, "carry " + port.stream->name(),
                           "the guest had no connection for it"};
    }
    view.delivered = view.delivered && stream.delivered;
    view.held = view.held || stream.held;
  }
  return view;
}

void Process::await_delivery() {
  for (const Port& port : ports_) port.stream->await_delivery();
}

void Process::release_ended_streams() {
  for (const Port& port : ports_) port.stream->release_ended();
}

Watchdog::Look Process::look() const {
  Watchdog::Look look;
  switch (phase_) {
    case Phase::kQueued:
      look.what = Watchdog::For::kHello;
      break;
    case Phase::kPreparing:
      look.what = Watchdog::For::kPrepared;
      break;
    case Phase::kStarting:
      look.what = Watchdog::For::kStarted;
      break;
    case Phase::kPrepared:
    case Phase::kRunning:
      break;
    case Phase::kEnded:
      look.what = Watchdog::For::kOutput;
      break;
  }
  for (const Port& port : ports_) {
    if (!port.stream->takes_output()) continue;
    const StreamPort::View stream = port.stream->view();
    look.output_bytes += stream.output_bytes;
    look.host_is_slow = look.host_is_slow || stream.held;
  }
  return look;
}

bool Process::is_waited_for() const { return look().what != Watchdog::For::kNothing; }

std::optional<std::string> Process::tick(bool container_runs) {
  Watchdog::Look now = look();
  if (now.what == Watchdog::For::kOutput && number_ != kFirstProcess && container_runs) {
    now.what = Watchdog::For::kSharedOutput;
  }
  return watchdog_.tick(now);
}

}  // namespace runhv::container
