#include "container/stream_port.h"

#include <utility>

#include "base/log.h"
#include "platform/os_error.h"

namespace runhv {

class StreamPort::Endpoint final : public VsockEndpoint {
 public:
  explicit Endpoint(StreamPort& port) : port_(port) {}

  std::size_t receive(std::span<const std::byte> data) override {
    // What the guest writes to its own stdin has no reader.
    return port_.direction_ == Direction::kToHost ? port_.receive(data) : data.size();
  }
  std::size_t send(std::span<std::byte> out) override {
    return port_.direction_ == Direction::kToGuest ? port_.send(out) : 0;
  }
  bool send_finished() const override {
    const std::lock_guard lock(port_.mutex_);
    return port_.input_ended_;
  }
  bool closed() const override {
    const std::lock_guard lock(port_.mutex_);
    return port_.finished_;
  }
  void on_guest_finished() override {
    // A guest that has finished with its stdin may still read it.
    if (port_.direction_ == Direction::kToHost) port_.finish();
  }
  void on_disconnect() override { port_.finish(); }

 private:
  StreamPort& port_;
};

StreamPort::StreamPort(Direction direction, Stream stream, Poller& poller, std::uint64_t token,
                       std::function<void()> on_first_byte, std::function<void()> on_finished)
    : direction_(direction),
      stream_(std::move(stream)),
      poller_(poller),
      token_(token),
      on_first_byte_(std::move(on_first_byte)),
      on_finished_(std::move(on_finished)) {}

std::unique_ptr<VsockEndpoint> StreamPort::connect(VsockConnectionId id) {
  const std::lock_guard lock(mutex_);
  if (connection_) return nullptr;
  connection_ = id;
  return std::make_unique<Endpoint>(*this);
}

std::optional<VsockConnectionId> StreamPort::on_ready() {
  const std::lock_guard lock(mutex_);
  // Silent until an endpoint's call finds again that the stream would block: the poller is
  // level-triggered, and the guest may take its time.
  poller_.forget(stream_.handle());
  return connection_;
}

bool StreamPort::finished() const {
  const std::lock_guard lock(mutex_);
  return finished_;
}

bool StreamPort::connected() const {
  const std::lock_guard lock(mutex_);
  return connection_.has_value();
}

std::optional<Error> StreamPort::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

std::uint64_t StreamPort::received_bytes() const {
  const std::lock_guard lock(mutex_);
  return received_bytes_;
}

bool StreamPort::host_is_slow() const {
  const std::lock_guard lock(mutex_);
  return host_is_slow_;
}

std::size_t StreamPort::receive(std::span<const std::byte> data) {
  std::size_t taken = 0;
  while (taken < data.size()) {
    IoResult result{};
    {
      const std::lock_guard lock(mutex_);
      if (finished_) return data.size();
      result = stream_.write(data.subspan(taken));
      host_is_slow_ = result.status == IoStatus::kWouldBlock;
      received_bytes_ += result.bytes;
      if (host_is_slow_) {
        const auto watched = poller_.watch(stream_.handle(), token_, false, true);
        if (watched) return taken;
        result = {IoStatus::kFailed, 0, static_cast<int>(watched.error().os_code)};
      }
      if (result.status == IoStatus::kFailed) {
        failure_ =
            os_error(token_ == 1 ? "write the container's stdout" : "write the container's stderr",
                     result.os_code);
      }
    }
    if (result.status != IoStatus::kDone) {
      debug_log("container", "output %d: its reader is gone (%d)", static_cast<int>(token_),
                result.os_code);
      finish();
      return data.size();
    }
    taken += result.bytes;
    if (!std::exchange(first_byte_seen_, true)) on_first_byte_();
  }
  return taken;
}

std::size_t StreamPort::send(std::span<std::byte> out) {
  const std::lock_guard lock(mutex_);
  if (out.empty() || input_ended_ || finished_) return 0;
  const IoResult result = stream_.read(out);
  if (result.status == IoStatus::kDone) return result.bytes;
  if (result.status == IoStatus::kWouldBlock &&
      poller_.watch(stream_.handle(), token_, true, false)) {
    return 0;
  }
  // An input that fails is one that ends, for the container; the run does not pass for a success.
  if (result.status == IoStatus::kFailed) {
    failure_ = os_error("read the container's stdin", result.os_code);
  }
  input_ended_ = true;
  return 0;
}

void StreamPort::finish() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(finished_, true)) return;
    poller_.forget(stream_.handle());
  }
  on_finished_();
}

}  // namespace runhv
