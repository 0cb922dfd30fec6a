// One standard stream of the container: bytes between a vsock connection and a stream of the host,
// with no buffer of our own. What one side cannot take stays with the other.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "base/error.h"
#include "devices/vsock/vsock_host.h"
#include "platform/poller.h"
#include "platform/stream.h"

namespace runhv {

// Lives longer than its endpoint. Threads: endpoints are called under the device's lock, the rest
// from the I/O thread; the state between them is under a mutex.
class StreamPort {
 public:
  enum class Direction { kToGuest, kToHost };

  // `token` names the stream to `poller`, which outlives the port. The two functions are called
  // once, from inside an endpoint's call.
  StreamPort(Direction direction, Stream stream, Poller& poller, std::uint64_t token,
             std::function<void()> on_first_byte, std::function<void()> on_finished);

  // Null after the first: a port takes one connection.
  std::unique_ptr<VsockEndpoint> connect(VsockConnectionId id);

  // The stream is ready: the connection to wake, if there is one.
  std::optional<VsockConnectionId> on_ready();

  // Every byte of the guest is delivered, or never will be: the guest has finished, the connection
  // or the reader is gone.
  bool finished() const;
  bool connected() const;
  // Why bytes of the guest were lost, where the host could not take them; a reader that has gone
  // did not want them.
  std::optional<Error> failure() const;
  // From the guest, all in all.
  std::uint64_t received_bytes() const;
  // The host does not take what the guest has sent.
  bool host_is_slow() const;

 private:
  class Endpoint;
  std::size_t receive(std::span<const std::byte> data);
  std::size_t send(std::span<std::byte> out);
  void finish();

  const Direction direction_;
  Stream stream_;
  Poller& poller_;
  const std::uint64_t token_;
  const std::function<void()> on_first_byte_;
  const std::function<void()> on_finished_;

  mutable std::mutex mutex_;
  std::optional<VsockConnectionId> connection_;
  bool first_byte_seen_ = false;
  std::uint64_t received_bytes_ = 0;
  bool host_is_slow_ = false;
  bool input_ended_ = false;
  bool finished_ = false;
  std::optional<Error> failure_;
};

}  // namespace runhv
