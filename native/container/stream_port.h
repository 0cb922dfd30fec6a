// One stream of a process: bytes between a vsock connection and a stream of the host, with no
// buffer of our own. What one side cannot take stays with the other.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "base/error.h"
#include "base/result.h"
#include "devices/vsock/vsock_host.h"
#include "platform/event_loop.h"
#include "platform/stream.h"

namespace runhv::container {

// Shared by its process and by its endpoint, which lives in the device: either may go first.
//
// Threads: the endpoint as VsockEndpoint says, everything else on the loop's thread.
class StreamPort : public std::enable_shared_from_this<StreamPort> {
 public:
  enum class Direction { kToGuest, kToHost, kBoth };

  struct Hooks {
    std::function<void()> on_change;      // look at the port again. Threads: any
    std::function<void()> on_first_byte;  // from the guest, once; may be empty. Threads: any
    std::function<void(devices::VsockConnectionId)> wake;  // VsockWaker::wake, on the loop's thread
  };

  // `loop` outlives the port. `name` is that of every error: "the container's stdout".
  StreamPort(platform::EventLoop& loop, Direction direction, std::string name, Hooks hooks);

  // Null after the first: a port takes one connection. As VsockService::accept.
  std::unique_ptr<devices::VsockEndpoint> connect(devices::VsockConnectionId id);

  const std::string& name() const { return name_; }
  bool takes_input() const { return direction_ != Direction::kToHost; }
  bool takes_output() const { return direction_ != Direction::kToGuest; }

  // Gives the host's end, or takes it away. kConflict where the stream has ended. With both
  // directions, the end of a pipe or a file is not told to the guest, whose terminal would hang up.
  Result<void> attach_input(std::optional<platform::Stream> end);
  Result<void> attach_output(std::optional<platform::Stream> end);

  // Nothing more comes from the guest: on_change once the host has what was written.
  void await_delivery();
  // Lets go of the host's ends that are of no more use, so that their readers see it.
  void release_ended();
  // Lets go of everything, and of the connection.
  void close();

  struct View {
    bool connected = false;
    // Every byte of the guest is with the host, or never will be: the guest has finished, or the
    // connection or the reader is gone.
    bool delivered = false;
    // The guest has sent what the host has not taken yet.
    bool held = false;
    std::uint64_t output_bytes = 0;  // taken from the guest, all in all
    // Why bytes were lost; a reader that has gone did not want them.
    std::optional<Error> failure;
  };
  View view();

 private:
  class Endpoint;
  platform::Handler look_again();
  void watch_flush();
  bool is_flushed();
  Result<void> attach(std::optional<platform::Stream>& place, bool ended,
                      std::optional<platform::Stream> end);
  std::size_t receive(std::span<const std::byte> data);
  std::size_t send(std::span<std::byte> out);
  void finish();

  platform::EventLoop& loop_;
  const Direction direction_;
  const std::string name_;
  const Hooks hooks_;

  std::mutex mutex_;
  std::optional<platform::Stream> input_;
  std::optional<platform::Stream> output_;
  std::optional<devices::VsockConnectionId> connection_;
  bool first_byte_seen_ = false;
  std::uint64_t output_bytes_ = 0;
  bool blocked_ = false;
  bool input_ended_ = false;
  bool tells_end_of_input_ = true;
  bool finished_ = false;          // nothing goes either way
  bool delivery_awaited_ = false;  // somebody waits for the host to have all
  bool flush_watched_ = false;
  std::optional<Error> failure_;
};

}  // namespace runhv::container
