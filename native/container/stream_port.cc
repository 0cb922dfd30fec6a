#include "container/stream_port.h"

#include <utility>

#include "base/log.h"
#include "platform/clock.h"
#include "platform/os_error.h"

namespace runhv::container {
namespace {

constexpr std::uint64_t kClosePatienceNs = 100'000'000;

}  // namespace

class StreamPort::Endpoint final : public devices::VsockEndpoint {
 public:
  explicit Endpoint(std::shared_ptr<StreamPort> port) : port_(std::move(port)) {}

  std::size_t receive(std::span<const std::byte> data) override {
    // What the guest writes to its own stdin has no reader.
    return port_->takes_output() ? port_->receive(data) : data.size();
  }
  std::size_t send(std::span<std::byte> out) override {
    return port_->takes_input() ? port_->send(out) : 0;
  }
  bool send_finished() const override {
    const std::lock_guard lock(port_->mutex_);
    return port_->input_ended_ && port_->tells_end_of_input_;
  }
  bool closed() const override {
    const std::lock_guard lock(port_->mutex_);
    return port_->finished_;
  }
  void on_guest_finished() override {
    // A guest that has finished with its stdin may still read it.
    if (port_->takes_output()) port_->finish();
  }
  void on_disconnect() override { port_->finish(); }

 private:
  std::shared_ptr<StreamPort> port_;
};

StreamPort::StreamPort(platform::EventLoop& loop, Direction direction, std::string name,
                       Hooks hooks)
    : loop_(loop), direction_(direction), name_(std::move(name)), hooks_(std::move(hooks)) {}

std::unique_ptr<devices::VsockEndpoint> StreamPort::connect(devices::VsockConnectionId id) {
  const std::lock_guard lock(mutex_);
  if (connection_) return nullptr;
  connection_ = id;
  return std::make_unique<Endpoint>(shared_from_this());
}

Result<void> StreamPort::attach_input(std::optional<platform::Stream> end) {
  if (end && direction_ == Direction::kBoth) {
    const std::lock_guard lock(mutex_);
    tells_end_of_input_ = end->ends_both_ways();
  }
  return attach(input_, input_ended_, std::move(end));
}

Result<void> StreamPort::attach_output(std::optional<platform::Stream> end) {
  return attach(output_, false, std::move(end));
}

Result<void> StreamPort::attach(std::optional<platform::Stream>& place, bool ended,
                                std::optional<platform::Stream> end) {
  if (end) RUNHV_TRY(end->bind(loop_));
  std::optional<devices::VsockConnectionId> connection;
  {
    const std::lock_guard lock(mutex_);
    if (finished_ || ended)
      return Fail{Error{Code::kConflict, "attach to " + name_, "it has ended"}};
    place.swap(end);
    if (&place == &output_) flush_watched_ = false;
    connection = connection_;
  }
  // A file may still be taking what it was given.
  auto closed = end ? end->close(platform::monotonic_ns() + kClosePatienceNs) : Result<void>();
  if (connection) hooks_.wake(*connection);
  return closed;
}

void StreamPort::await_delivery() {
  const std::lock_guard lock(mutex_);
  delivery_awaited_ = true;
  watch_flush();
}

// With the mutex: asks to be told when all is with the host, where that is of interest.
void StreamPort::watch_flush() {
  if (!delivery_awaited_ || flush_watched_ || is_flushed()) return;
  flush_watched_ = true;
  output_->on_flushed([weak = weak_from_this()] {
    const auto port = weak.lock();
    if (!port) return;
    {
      const std::lock_guard lock(port->mutex_);
      port->flush_watched_ = false;
      port->watch_flush();
    }
    port->hooks_.on_change();
  });
}

// With the mutex.
bool StreamPort::is_flushed() {
  if (!output_) return true;
  const platform::IoResult result = output_->flush();
  if (result.status == platform::IoStatus::kFailed && !failure_) {
    failure_ = platform::os_error("write " + name_, result.os_code);
  }
  return result.status != platform::IoStatus::kWouldBlock;
}

void StreamPort::release_ended() {
  std::optional<platform::Stream> input;
  std::optional<platform::Stream> output;
  const std::lock_guard lock(mutex_);
  if (finished_ || input_ended_) input.swap(input_);
  if (finished_ && is_flushed()) output.swap(output_);
}

void StreamPort::close() {
  finish();
  std::optional<devices::VsockConnectionId> connection;
  std::optional<platform::Stream> input;
  std::optional<platform::Stream> output;
  {
    const std::lock_guard lock(mutex_);
    input.swap(input_);
    output.swap(output_);
    connection = connection_;
  }
  if (connection) hooks_.wake(*connection);
}

StreamPort::View StreamPort::view() {
  const std::lock_guard lock(mutex_);
  const bool flushed = is_flushed();
  return {.connected = connection_.has_value(),
          .delivered = !connection_ || (finished_ && flushed),
          .held = !flushed || (!finished_ && blocked_),
          .output_bytes = output_bytes_,
          .failure = failure_};
}

// For a stream that would block. It may come when the port has gone.
platform::Handler StreamPort::look_again() {
  return [weak = weak_from_this()] {
    const auto port = weak.lock();
    if (!port) return;
    std::optional<devices::VsockConnectionId> connection;
    {
      const std::lock_guard lock(port->mutex_);
      connection = port->connection_;
    }
    if (connection) port->hooks_.wake(*connection);
  };
}

std::size_t StreamPort::receive(std::span<const std::byte> data) {
  std::size_t taken = 0;
  bool first = false;
  bool over = false;
  bool freed = false;
  {
    const std::lock_guard lock(mutex_);
    if (finished_) return data.size();
    const bool was_blocked = std::exchange(blocked_, false);
    while (taken < data.size() && !blocked_ && !over) {
      if (!output_) {
        blocked_ = true;
        break;
      }
      const platform::IoResult result = output_->write(data.subspan(taken));
      switch (result.status) {
        case platform::IoStatus::kDone:
          taken += result.bytes;
          output_bytes_ += result.bytes;
          first = first || !std::exchange(first_byte_seen_, true);
          break;
        case platform::IoStatus::kWouldBlock:
          blocked_ = true;
          output_->on_writable(look_again());
          break;
        case platform::IoStatus::kFailed:
          failure_ = platform::os_error("write " + name_, result.os_code);
          over = true;
          break;
        case platform::IoStatus::kEnd:
          debug_log("container", "%s: its reader is gone (%d)", name_.c_str(), result.os_code);
          over = true;
          break;
      }
    }
    watch_flush();
    freed = delivery_awaited_ && was_blocked && !blocked_;
  }
  if (freed) hooks_.on_change();
  if (first && hooks_.on_first_byte) hooks_.on_first_byte();
  if (over) {
    finish();
    return data.size();
  }
  return taken;
}

std::size_t StreamPort::send(std::span<std::byte> out) {
  const std::lock_guard lock(mutex_);
  if (out.empty() || input_ended_ || finished_ || !input_) return 0;
  const platform::IoResult result = input_->read(out);
  if (result.status == platform::IoStatus::kDone) return result.bytes;
  if (result.status == platform::IoStatus::kWouldBlock) {
    input_->on_readable(look_again());
    return 0;
  }
  // An input that fails is one that ends, for the process; the run does not pass for a success.
  if (result.status == platform::IoStatus::kFailed)
    failure_ = platform::os_error("read " + name_, result.os_code);
  input_ended_ = true;
  return 0;
}

void StreamPort::finish() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(finished_, true)) return;
    delivery_awaited_ = true;
    watch_flush();
  }
  hooks_.on_change();
}

}  // namespace runhv::container
