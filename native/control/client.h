// A client of the control channel that waits for its answers: the command's.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "control/frame.h"
#include "control/stream_copy.h"
#include "platform/event_loop.h"
#include "platform/local_socket.h"
#include "platform/signals.h"

namespace runhv::control {

using Deadline = std::optional<std::uint64_t>;  // monotonic_ns; nullopt = however long it takes

// Every call waits until the deadline at most: kTimedOut. kClosed where the VMM has gone. An error
// of the VMM's comes as it was there. Threads: one.
class Client {
 public:
  enum class Events { kPassedOver, kKept };

  // `path`: the socket. Says HELLO; a VMM of another version is kUnsupported.
  static Result<Client> connect(const std::string& path, Deadline deadline,
                                Events events = Events::kPassedOver);
  // The same on a connection that a VMM has the other end of, or will have.
  static Result<Client> greet(platform::LocalConnection connection, Deadline deadline,
                              Events events);

  void set_deadline(Deadline deadline) { deadline_ = deadline; }

  // The payload of the answer. `handles` go with the request, and stay ours. kUnsupported: they are
  // more than RUNHV_CONTROL_MAX_HANDLES.
  Result<std::vector<std::byte>> ask(std::uint32_t type, std::span<const std::byte> payload,
                                     std::span<const platform::OsHandle> handles = {});
  Result<void> signal(runhv_process process, int signal);
  // linux.resources as JSON, for a container of the VM.
  Result<void> update(runhv_process container, std::string_view json);
  // `type`: PROCESS_START or JOIN, with its text. `ends`: the process's stdin, stdout and stderr,
  // or its terminal; an invalid one is the null device. `more`: its 3, 4, …, then start.taps taps,
  // about which `network` is what comes behind the text. It ends with this client. Where no handles
  // go over a connection, `ends` are read and written by this client, as long as it waits for
  // something.
  Result<runhv_process> begin(std::uint32_t type, runhv_control_process_start start,
                              std::string_view text, std::span<const platform::OsHandle> ends,
                              std::span<const platform::OsHandle> more = {},
                              std::span<const std::byte> network = {});

  // The next event that was kept. nullopt: something is in `signals`, which was bound to loop().
  Result<std::optional<runhv_event>> event(platform::SignalQueue* signals = nullptr);
  platform::EventLoop& loop() { return *loop_; }
  // Waits, however long it takes, until all that processes have written to `ends` is there. Errors:
  // some of it could not be.
  Result<void> deliver();

 private:
  Client(std::string path, std::unique_ptr<platform::EventLoop> loop,
         std::unique_ptr<platform::LocalConnection> connection, Deadline deadline, Events events)
      : path_(std::move(path)),
        loop_(std::move(loop)),
        connection_(std::move(connection)),
        deadline_(deadline),
        keeps_events_(events == Events::kKept) {}

  static Result<Client> greet_at(std::string path, platform::LocalConnection connection,
                                 Deadline deadline, Events events);
  // Connects `end` to the VMM by a connection of its own, whose token it gives.
  Result<std::uint64_t> carry(platform::OsHandle end, bool to_guest);
  Result<void> send(std::span<const std::byte> bytes, std::span<const platform::OsHandle> handles);
  Result<Frame> receive();
  Result<std::optional<Frame>> receive_now();
  void keep(const runhv_event& event);
  bool is_late() const;
  // Until the source's handler has run.
  template <class Arm>
  Result<void> wait_for(const Arm& arm);

  std::string path_;  // empty: of a connection that somebody else has made
  std::unique_ptr<platform::EventLoop> loop_;
  std::unique_ptr<platform::LocalConnection> connection_;
  FrameReader reader_{RUNHV_CONTROL_MAX_ANSWER};
  Deadline deadline_;
  const bool keeps_events_;
  std::deque<runhv_event> events_;
  std::vector<std::unique_ptr<StreamCopy>> inputs_, outputs_;  // of processes
  std::uint32_t next_request_ = 1;
};

}  // namespace runhv::control
