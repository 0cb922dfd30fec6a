// The host's end of a container's names (guest/proto/README.md, "Names"): what programs of the
// guest say to the address of docker's resolver goes to the one in the network namespace, as it
// would from any process in there. Nobody here looks into it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/result.h"
#include "container/loop_call.h"
#include "container/stream_port.h"
#include "devices/vsock/vsock_host.h"
#include "platform/event_loop.h"
#include "platform/stream.h"

namespace runhv::container {

// Threads: accept_…() and the endpoints as VsockService says; everything else on the loop's thread.
// It outlives the device.
class Resolver {
 public:
  static constexpr std::size_t kMaxStreams = 16;  // at one time

  // A socket to the resolver, of datagrams or a stream.
  using Connect = std::function<Result<platform::Stream>(bool datagrams)>;

  // `wake`: VsockWaker::wake, on the loop's thread. An error: the first socket cannot be made.
  static Result<std::unique_ptr<Resolver>> create(
      platform::EventLoop& loop, Connect connect,
      std::function<void(devices::VsockConnectionId)> wake);
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  ~Resolver();

  // Null: there is one, or there are kMaxStreams.
  std::unique_ptr<devices::VsockEndpoint> accept_datagrams(devices::VsockConnectionId id);
  std::unique_ptr<devices::VsockEndpoint> accept_stream(devices::VsockConnectionId id);

 private:
  class Datagrams;
  struct Connection {
    std::shared_ptr<StreamPort> port;
    bool has_socket = false;
  };
  Resolver(platform::EventLoop& loop, Connect connect,
           std::function<void(devices::VsockConnectionId)> wake,
           std::shared_ptr<Datagrams> datagrams);
  void look();

  platform::EventLoop& loop_;
  const Connect connect_;
  const std::function<void(devices::VsockConnectionId)> wake_;
  const std::shared_ptr<Datagrams> datagrams_;  // also its endpoint's
  LoopCall look_;
  std::mutex mutex_;
  std::vector<Connection> connections_;
};

}  // namespace runhv::container
