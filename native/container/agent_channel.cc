#include "container/agent_channel.h"

#include <algorithm>
#include <utility>

namespace runhv::container {

class AgentChannel::Control final : public devices::VsockEndpoint {
 public:
  explicit Control(AgentChannel& channel) : channel_(channel) {}
  std::size_t receive(std::span<const std::byte> data) override { return channel_.take(data); }
  std::size_t send(std::span<std::byte> out) override { return channel_.give(out); }
  bool send_finished() const override { return false; }
  bool closed() const override { return false; }
  void on_guest_finished() override { channel_.lose(); }
  void on_disconnect() override { channel_.lose(); }

 private:
  AgentChannel& channel_;
};

AgentChannel::AgentChannel(std::function<void()> on_change) : on_change_(std::move(on_change)) {}

std::unique_ptr<devices::VsockEndpoint> AgentChannel::accept(devices::VsockConnectionId id,
                                                             std::uint32_t,
                                                             std::uint32_t host_port) {
  const std::lock_guard lock(mutex_);
  if (host_port == RUNHV_CONTROL_PORT) {
    if (control_) return nullptr;
    control_ = id;
    return std::make_unique<Control>(*this);
  }
  if (opening_) return nullptr;
  if (const auto service = services_.find(host_port); service != services_.end()) {
    return service->second(id);
  }
  const auto found = ports_.find(host_port);
  return found == ports_.end() ? nullptr : found->second->connect(id);
}

void AgentChannel::open_with(std::function<std::vector<std::byte>()> opening) {
  const std::lock_guard lock(mutex_);
  opening_ = std::move(opening);
}

void AgentChannel::expect(std::uint32_t port, std::shared_ptr<StreamPort> stream) {
  const std::lock_guard lock(mutex_);
  ports_.insert_or_assign(port, std::move(stream));
}

void AgentChannel::forget(std::uint32_t port) {
  const std::lock_guard lock(mutex_);
  ports_.erase(port);
}

void AgentChannel::serve(std::uint32_t port, Accept accept) {
  const std::lock_guard lock(mutex_);
  services_.insert_or_assign(port, std::move(accept));
}

void AgentChannel::send(std::span<const std::byte> frame) {
  const std::lock_guard lock(mutex_);
  outgoing_.insert(outgoing_.end(), frame.begin(), frame.end());
  wake_ = true;
}

bool AgentChannel::idle() const {
  const std::lock_guard lock(mutex_);
  return outgoing_.empty();
}

AgentChannel::Received AgentChannel::receive() {
  std::vector<std::byte> bytes;
  Received received;
  {
    const std::lock_guard lock(mutex_);
    if (received_.size() == kMaxHeldBytes) wake_ = true;
    bytes = std::exchange(received_, {});
    received.lost = lost_;
  }
  if (broken_) return received;
  if (auto parsed = parser_.push(bytes, received.messages); !parsed) {
    broken_ = true;
    received.fault = std::move(parsed).error();
  }
  return received;
}

std::optional<devices::VsockConnectionId> AgentChannel::take_wake() {
  const std::lock_guard lock(mutex_);
  if (!control_ || lost_ || !std::exchange(wake_, false)) return std::nullopt;
  return control_;
}

std::size_t AgentChannel::take(std::span<const std::byte> data) {
  std::size_t count = 0;
  {
    const std::lock_guard lock(mutex_);
    count = std::min(data.size(), kMaxHeldBytes - received_.size());
    received_.insert(received_.end(), data.begin(),
                     data.begin() + static_cast<std::ptrdiff_t>(count));
    heard_bytes_ += count;
    if (opening_ && heard_bytes_ >= sizeof(runhv_frame) + sizeof(runhv_hello)) {
      const std::vector<std::byte> first = std::exchange(opening_, nullptr)();
      outgoing_.insert(outgoing_.begin(), first.begin(), first.end());
    }
  }
  on_change_();
  return count;
}

std::size_t AgentChannel::give(std::span<std::byte> out) {
  std::size_t count = 0;
  bool done = false;
  {
    const std::lock_guard lock(mutex_);
    if (opening_) return 0;
    count = std::min(out.size(), outgoing_.size() - sent_bytes_);
    std::copy_n(outgoing_.begin() + static_cast<std::ptrdiff_t>(sent_bytes_), count, out.begin());
    sent_bytes_ += count;
    done = count != 0 && sent_bytes_ == outgoing_.size();
    if (done) {
      outgoing_.clear();
      sent_bytes_ = 0;
    }
  }
  if (done) on_change_();
  return count;
}

void AgentChannel::lose() {
  {
    const std::lock_guard lock(mutex_);
    lost_ = true;
  }
  on_change_();
}

}  // namespace runhv::container
