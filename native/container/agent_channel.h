// The host's end of the guest's connections (guest/proto/README.md): the bytes of the control
// connection, and which ports wait for a stream.
//
// Threads: accept() and the endpoints as VsockService says; everything else on the loop's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "container/agent_message.h"
#include "container/stream_port.h"
#include "devices/vsock/vsock_host.h"

namespace runhv::container {

class AgentChannel final : public devices::VsockService {
 public:
  // What the guest has said and nobody has received yet; beyond it the guest waits.
  static constexpr std::size_t kMaxHeldBytes = RUNHV_MAX_FRAME_TO_HOST + sizeof(runhv_frame);

  // `on_change`: there is something to receive or to send. Threads: any; nothing is held.
  explicit AgentChannel(std::function<void()> on_change);

  std::unique_ptr<devices::VsockEndpoint> accept(devices::VsockConnectionId id,
                                                 std::uint32_t guest_port,
                                                 std::uint32_t host_port) override;

  // What is said first, before all that send() has kept, as soon as the guest has said as much as a
  // HELLO. `opening` is called once, on the thread that brings it: any.
  void open_with(std::function<std::vector<std::byte>()> opening);

  // One connection of the guest to `port` is the stream's, once the guest has spoken.
  void expect(std::uint32_t port, std::shared_ptr<StreamPort> stream);
  void forget(std::uint32_t port);
  // `accept` answers for every connection to `port`, once the guest has spoken, as
  // VsockService::accept.
  using Accept = std::function<std::unique_ptr<devices::VsockEndpoint>(devices::VsockConnectionId)>;
  void serve(std::uint32_t port, Accept accept);

  // Behind what is on its way.
  void send(std::span<const std::byte> frame);
  // Nothing is on its way.
  bool idle() const;

  struct Received {
    std::vector<AgentMessage> messages;  // in order, up to the fault
    std::optional<Error> fault;          // the guest broke the protocol's frames
    bool lost = false;  // the connection is gone; nothing comes behind the messages
  };
  Received receive();

  // The control connection, where it has something new to send or room to receive.
  std::optional<devices::VsockConnectionId> take_wake();

 private:
  class Control;
  std::size_t take(std::span<const std::byte> data);
  std::size_t give(std::span<std::byte> out);
  void lose();

  const std::function<void()> on_change_;
  AgentMessageParser parser_;  // of the loop's thread
  bool broken_ = false;        // too

  mutable std::mutex mutex_;
  std::map<std::uint32_t, std::shared_ptr<StreamPort>> ports_;  // also their processes'
  std::map<std::uint32_t, Accept> services_;
  std::optional<devices::VsockConnectionId> control_;
  bool lost_ = false;
  bool wake_ = false;
  std::function<std::vector<std::byte>()> opening_;  // empty once it is said
  std::size_t heard_bytes_ = 0;                      // until then
  std::vector<std::byte> received_;
  std::vector<std::byte> outgoing_;
  std::size_t sent_bytes_ = 0;  // of outgoing_
};

}  // namespace runhv::container
