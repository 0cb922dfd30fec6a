#include "container/resolver.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

#include "base/bytes.h"
#include "base/log.h"
#include "runhv_agent.h"

namespace runhv::container {
namespace {

constexpr std::size_t kLengthBytes = sizeof(std::uint16_t);
constexpr std::size_t kMaxDatagramBytes = RUNHV_MAX_RESOLVER_DATAGRAM;
// Answers of the host's kernel that are no datagrams ("connection refused") and follow one another.
constexpr int kMostErrors = 8;

}  // namespace

// Between the one connection of the guest, on which a length precedes each datagram, and a socket.
// What does not go through is lost, as any datagram.
class Resolver::Datagrams {
 public:
  class Endpoint;

  Datagrams(platform::Stream socket, std::function<void(devices::VsockConnectionId)> wake)
      : wake_(std::move(wake)), socket_(std::move(socket)) {}
  Result<void> bind(platform::EventLoop& loop) { return socket_.bind(loop); }

  static std::unique_ptr<devices::VsockEndpoint> accept(const std::shared_ptr<Datagrams>& self,
                                                        devices::VsockConnectionId id);

 private:
  std::size_t receive(std::span<const std::byte> data) {
    const std::lock_guard lock(mutex_);
    std::span<const std::byte> rest = data;
    while (!rest.empty() && !broken_) {
      const std::size_t wanted = missing_bytes();
      const std::size_t part = std::min(wanted, rest.size());
      from_guest_.insert(from_guest_.end(), rest.begin(),
                         rest.begin() + static_cast<std::ptrdiff_t>(part));
      rest = rest.subspan(part);
      send_whole();
    }
    return data.size();
  }

  // Of the length, or of the datagram that it announces.
  std::size_t missing_bytes() const {
    if (from_guest_.size() < kLengthBytes) return kLengthBytes - from_guest_.size();
    return kLengthBytes + load_le<std::uint16_t>(from_guest_) - from_guest_.size();
  }

  void send_whole() {
    if (from_guest_.size() < kLengthBytes) return;
    const std::size_t size = load_le<std::uint16_t>(from_guest_);
    broken_ = size == 0 || size > kMaxDatagramBytes;
    if (broken_ || from_guest_.size() < kLengthBytes + size) return;
    (void)socket_.write(std::span(from_guest_).subspan(kLengthBytes));
    from_guest_.clear();
  }

  std::size_t send(std::span<std::byte> out) {
    const std::lock_guard lock(mutex_);
    if (out.empty() || (sent_bytes_ == to_guest_.size() && !take_answer())) return 0;
    const std::size_t count = std::min(out.size(), to_guest_.size() - sent_bytes_);
    std::copy_n(to_guest_.begin() + static_cast<std::ptrdiff_t>(sent_bytes_), count, out.begin());
    sent_bytes_ += count;
    return count;
  }

  bool take_answer() {
    std::array<std::byte, kMaxDatagramBytes> datagram;
    for (int tries = 0; tries < kMostErrors; ++tries) {
      const platform::IoResult read = socket_.read(datagram);
      if (read.status == platform::IoStatus::kWouldBlock) break;
      if (read.status != platform::IoStatus::kDone) continue;
      to_guest_.resize(kLengthBytes);
      store_le<std::uint16_t>(to_guest_, 0, static_cast<std::uint16_t>(read.bytes));
      to_guest_.insert(to_guest_.end(), datagram.begin(),
                       datagram.begin() + static_cast<std::ptrdiff_t>(read.bytes));
      sent_bytes_ = 0;
      return true;
    }
    socket_.on_readable([this] { look_again(); });
    return false;
  }

  // On the loop's thread, as long as the socket is there.
  void look_again() {
    std::optional<devices::VsockConnectionId> connection;
    {
      const std::lock_guard lock(mutex_);
      connection = connection_;
    }
    if (connection) wake_(*connection);
  }

  const std::function<void(devices::VsockConnectionId)> wake_;
  std::mutex mutex_;
  platform::Stream socket_;
  std::optional<devices::VsockConnectionId> connection_;
  bool broken_ = false;  // the guest has sent what is no datagram
  std::vector<std::byte> from_guest_;
  std::vector<std::byte> to_guest_;
  std::size_t sent_bytes_ = 0;  // of to_guest_
};

class Resolver::Datagrams::Endpoint final : public devices::VsockEndpoint {
 public:
  explicit Endpoint(std::shared_ptr<Datagrams> datagrams) : datagrams_(std::move(datagrams)) {}
  std::size_t receive(std::span<const std::byte> data) override {
    return datagrams_->receive(data);
  }
  std::size_t send(std::span<std::byte> out) override { return datagrams_->send(out); }
  bool send_finished() const override { return false; }
  bool closed() const override {
    const std::lock_guard lock(datagrams_->mutex_);
    return datagrams_->broken_;
  }
  void on_guest_finished() override {}
  void on_disconnect() override {}

 private:
  const std::shared_ptr<Datagrams> datagrams_;
};

std::unique_ptr<devices::VsockEndpoint> Resolver::Datagrams::accept(
    const std::shared_ptr<Datagrams>& self, devices::VsockConnectionId id) {
  const std::lock_guard lock(self->mutex_);
  if (self->connection_) return nullptr;
  self->connection_ = id;
  return std::make_unique<Endpoint>(self);
}

Result<std::unique_ptr<Resolver>> Resolver::create(
    platform::EventLoop& loop, Connect connect,
    std::function<void(devices::VsockConnectionId)> wake) {
  RUNHV_TRY_ASSIGN(platform::Stream socket, connect(true));
  auto datagrams = std::make_shared<Datagrams>(std::move(socket), wake);
  RUNHV_TRY(datagrams->bind(loop));
  return std::unique_ptr<Resolver>(
      new Resolver(loop, std::move(connect), std::move(wake), std::move(datagrams)));
}

Resolver::Resolver(platform::EventLoop& loop, Connect connect,
                   std::function<void(devices::VsockConnectionId)> wake,
                   std::shared_ptr<Datagrams> datagrams)
    : loop_(loop),
      connect_(std::move(connect)),
      wake_(std::move(wake)),
      datagrams_(std::move(datagrams)),
      look_(loop, [this] { look(); }) {}

Resolver::~Resolver() {
  for (const Connection& each : connections_) each.port->close();
}

std::unique_ptr<devices::VsockEndpoint> Resolver::accept_datagrams(devices::VsockConnectionId id) {
  return Datagrams::accept(datagrams_, id);
}

// Its socket is made on the loop's thread; what the guest says before waits in the guest.
std::unique_ptr<devices::VsockEndpoint> Resolver::accept_stream(devices::VsockConnectionId id) {
  std::shared_ptr<StreamPort> port;
  {
    const std::lock_guard lock(mutex_);
    if (connections_.size() == kMaxStreams) return nullptr;
    port = std::make_shared<StreamPort>(
        loop_, StreamPort::Direction::kBoth, "a connection to the resolver",
        StreamPort::Hooks{
            .on_change = [this] { look_.request(); }, .on_first_byte = nullptr, .wake = wake_});
    connections_.push_back({port, false});
  }
  look_.request();
  return port->connect(id);
}

// Gives sockets to new connections, and lets go of those that are over.
void Resolver::look() {
  std::vector<std::shared_ptr<StreamPort>> fresh;
  std::vector<std::shared_ptr<StreamPort>> over;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(connections_, [&](Connection& each) {
      const StreamPort::View view = each.port->view();
      const bool ended = view.connected && view.delivered;
      if (ended) over.push_back(each.port);
      if (!ended && !std::exchange(each.has_socket, true)) fresh.push_back(each.port);
      return ended;
    });
  }
  for (const auto& port : over) port->close();
  for (const auto& port : fresh) {
    const auto attached = [&]() -> Result<void> {
      RUNHV_TRY_ASSIGN(platform::Stream output, connect_(false));
      RUNHV_TRY_ASSIGN(platform::Stream input, platform::Stream::adopt(output.handle(), true));
      RUNHV_TRY(port->attach_output(std::move(output)));
      return port->attach_input(std::move(input));
    }();
    if (attached) continue;
    debug_log("container", "%s", to_string(attached.error()).c_str());
    port->close();
  }
}

}  // namespace runhv::container
