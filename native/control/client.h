// A client of the control channel that waits for its answers: the command's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "control/frame.h"
#include "platform/event_loop.h"
#include "platform/local_socket.h"

namespace runhv::control {

// Every call waits until the deadline (monotonic_ns) of connect() at most: kTimedOut. kClosed where
// the VMM has gone. An error of the VMM's comes as it was there. Threads: one.
class Client {
 public:
  // `path`: the socket. Says HELLO; a VMM of another version is kUnsupported.
  static Result<Client> connect(const std::string& path, std::uint64_t deadline_ns);

  // The payload of the answer to a request without descriptors. Events are passed over.
  Result<std::vector<std::byte>> ask(std::uint32_t type, std::span<const std::byte> payload);
  Result<void> signal(runhv_process process, int signal);

 private:
  Client(std::unique_ptr<EventLoop> loop, std::unique_ptr<LocalConnection> connection,
         std::uint64_t deadline_ns)
      : loop_(std::move(loop)), connection_(std::move(connection)), deadline_ns_(deadline_ns) {}

  Result<void> send(std::span<const std::byte> bytes);
  Result<Frame> receive();
  // Until the source's handler has run.
  template <class Arm>
  Result<void> wait_for(const Arm& arm);

  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<LocalConnection> connection_;
  FrameReader reader_{RUNHV_CONTROL_MAX_ANSWER};
  std::uint64_t deadline_ns_;
  std::uint32_t next_request_ = 1;
};

}  // namespace runhv::control
