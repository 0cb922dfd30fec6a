// The host's side of the conversation with the agent (guest/proto/README.md): the control
// connection, its order of messages, and the standard streams.
//
// Threads: as VsockService for accept() and the endpoints; everything else from any thread but an
// endpoint's call.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/result.h"
#include "container/agent_message.h"
#include "container/container.h"
#include "container/patience.h"
#include "container/stream_port.h"
#include "devices/vsock/vsock_host.h"
#include "machine/timeline.h"
#include "platform/poller.h"

namespace runhv {

class AgentSession final : public VsockService {
 public:
  // Poller tokens 0, 1 and 2 are the session's. `streams`: stdin, stdout, stderr, empty where the
  // container gets the null device. `start` are the records of encode_start for ports().
  AgentSession(std::vector<std::byte> start, std::array<std::optional<Stream>, 3> streams,
               Poller& poller, Timeline& timeline);
  ~AgentSession() override;

  static runhv_stdio ports(const std::array<std::optional<Stream>, 3>& streams);

  std::unique_ptr<VsockEndpoint> accept(VsockConnectionId id, std::uint32_t guest_port,
                                        std::uint32_t host_port) override;

  // The agent has said HELLO.
  bool heard() const;
  bool started() const;  // STARTED or FAILED has come
  // What only the guest can bring about now.
  Patience::Look waits_for() const;

  // A stream is ready: the connection to wake.
  std::optional<VsockConnectionId> on_ready(std::uint64_t token);
  // The control connection, once for each time that there is something new to send on it.
  std::optional<VsockConnectionId> take_control_wake();

  // Kept until the agent can hear it; the same signal is kept once, as a kernel does.
  void signal(int signal);
  void power_off();

  struct View {
    std::optional<Error> failure;     // the guest broke the protocol
    std::optional<ContainerEnd> end;  // EXITED or FAILED was said
    bool delivered = false;           // no output is on its way
    std::optional<Error> lost_bytes;  // the host could not write or read them
    bool lost = false;                // the control connection is gone
  };
  View view() const;

 private:
  class Control;
  enum class State { kExpectHello, kExpectStarted, kRunning, kEnded };

  void receive(std::span<const std::byte> data);
  std::size_t send(std::span<std::byte> out);
  void on_message(const AgentMessage& message);
  void fail(const std::string& detail);
  void end_with(ContainerEnd end);
  void append_frame(std::uint16_t type, std::span<const std::byte> payload);
  void append_signals();
  void on_lost();

  Poller& poller_;
  Timeline& timeline_;
  std::array<std::unique_ptr<StreamPort>, 3> streams_;

  mutable std::mutex mutex_;
  State state_ = State::kExpectHello;
  std::vector<std::byte> start_;
  AgentMessageParser parser_;
  std::optional<VsockConnectionId> control_;
  bool control_wake_ = false;
  bool lost_ = false;
  std::vector<std::byte> outgoing_;  // frames; at most START, 64 signals and POWER_OFF
  std::size_t sent_ = 0;
  std::vector<int> signals_;
  std::optional<Error> failure_;
  std::optional<ContainerEnd> end_;
};

}  // namespace runhv
