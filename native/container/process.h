// One process of a container, as the host sees it: how far it is, its streams, its end.
//
//   kQueued ---PREPARE--> kPreparing --PREPARED--> kPrepared --EXECUTE--> kStarting
//                                                                            | STARTED
//   kQueued ---PREPARE with EXECUTE---------------------------------> kStarting v
//                                                                         kRunning --EXITED-->
//                                                                         kEnded
//   FAILED leads from kPreparing and kStarting to kEnded.
//
// Threads: the loop's.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "container/agent_channel.h"
#include "container/agent_request.h"
#include "container/container.h"
#include "container/stream_port.h"
#include "container/watchdog.h"

namespace runhv::container {

class Process {
 public:
  enum class Phase { kQueued, kPreparing, kPrepared, kStarting, kRunning, kEnded };

  // Binds the streams and encodes the request; the agent is told nothing yet. `channel` and `loop`
  // outlive it. Where the process has a terminal, the spec says so.
  // `place`: in which container; its own number for the first process of one that joins.
  static Result<std::unique_ptr<Process>> create(ProcessNumber number, const ProcessSpec& spec,
                                                 HostStreams streams, platform::EventLoop& loop,
                                                 AgentChannel& channel,
                                                 const StreamPort::Hooks& hooks,
                                                 std::uint64_t guest_memory_bytes,
                                                 const ProcessPlace& place = {});
  // One more, under the next number. REQUIRES: not offered yet, kMaxDescriptors at most.
  Result<void> add_descriptor(HostDescriptor descriptor, platform::EventLoop& loop,
                              const StreamPort::Hooks& hooks);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();  // closes its streams

  Phase phase() const { return phase_; }
  bool ended() const { return phase_ == Phase::kEnded; }
  const std::optional<ExitStatus>& status() const { return status_; }  // where ended()

  // PREPARE goes out; with `execute` nothing is left to be said.
  void prepare(bool execute);
  // The same in two steps, for an agent that has not spoken yet: what is said waits for it.
  void offer(bool execute);
  void on_heard();
  void execute();  // REQUIRES: kPrepared

  // What the agent says. kGuestFailed where it may not be said now.
  Result<void> on_prepared();
  Result<void> on_started();
  Result<void> on_failed(const AgentFailed& failed);
  Result<void> on_exited(const AgentExited& exited);
  // It ended with the container, or was never started by it. Not where ended().
  void end_with_container(const Error& reason);

  // Kept until the agent can hear it; the same signal is kept once, as a kernel does.
  void signal(int signal);
  Result<void> resize(std::uint16_t columns, std::uint16_t rows);
  Result<void> attach(int stream, std::optional<platform::Stream> end);
  // What is kept goes out. REQUIRES: channel.idle(), so that a guest that does not listen cannot
  // make the queue grow.
  void flush();

  struct View {
    bool delivered = true;         // no output is on its way
    bool held = false;             // the guest has sent output that the host has not taken yet
    std::optional<Error> failure;  // why bytes were lost
  };
  View view() const;
  // Nothing more comes from the guest (StreamPort::await_delivery).
  void await_delivery();
  void release_ended_streams();

  // Once for each tick. `container_runs`: others may hold its outputs after its end.
  bool is_waited_for() const;
  std::optional<std::string> tick(bool container_runs);
  // What comes after its end is somebody else's: its outputs count as delivered.
  void give_up_outputs() { outputs_given_up_ = true; }

 private:
  struct Port {
    std::uint32_t number;
    std::shared_ptr<StreamPort> stream;  // also of its endpoint
  };

  Process(ProcessNumber number, bool terminal, AgentChannel& channel,
          std::uint64_t guest_memory_bytes)
      : number_(number), terminal_(terminal), channel_(channel), watchdog_(guest_memory_bytes) {}
  StreamPort* port_of(int stream) const;
  Watchdog::Look look() const;
  void end(ExitStatus status);
  void say(std::uint16_t type, std::span<const std::byte> payload);

  const ProcessNumber number_;
  const bool terminal_;
  AgentChannel& channel_;
  bool executes_ = false;  // PREPARE has asked for execve, too
  std::vector<Port> ports_;
  std::uint32_t next_descriptor_ = 3;
  std::vector<std::byte> request_;  // of PREPARE, until it is sent
  Phase phase_ = Phase::kQueued;
  std::optional<ExitStatus> status_;
  bool outputs_given_up_ = false;
  std::vector<int> signals_;
  std::optional<std::pair<std::uint16_t, std::uint16_t>> size_;  // columns, rows
  Watchdog watchdog_;
};

}  // namespace runhv::container
