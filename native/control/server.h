// The VMM's side of the control channel (docs/control.md).
//
// Threads: the loop's alone. A client can neither stop nor slow what it does not ask for: what it
// does not read is bounded, and what it asks for is served a few frames a turn.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "control/frame.h"
#include "control/request.h"
#include "control/requests.h"
#include "platform/event_loop.h"
#include "platform/local_socket.h"

namespace runhv::control {

class Server {
 public:
  // A connection that says nothing, or a stream that nobody claims, is kept so long.
  static constexpr std::uint64_t kUnclaimedNs = 30'000'000'000;

  // `loop` and `requests` outlive the server.
  Server(platform::EventLoop& loop, Requests& requests);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  // Accepts clients on the socket `name` in `folder`.
  Result<void> listen(const std::string& folder, const std::string& name);
  // The connection of whoever launched this process: a client like the others, but it is waited for
  // by when_read() although it has not said HELLO yet.
  Result<void> add_launcher(platform::LocalConnection connection);

  // Whether anybody is connected.
  bool has_clients() const { return !clients_.empty(); }

  // Tells every client that wants events, and those that come later as far as it concerns them.
  void tell(const runhv_event& event);
  // Before the end: the last numbers, as an answer that nobody asked for (request 0).
  void tell_last(const runhv_statistics& statistics);

  // Calls `done` once every client has taken what it was told, or at the deadline (monotonic_ns).
  void when_read(std::uint64_t deadline_ns, platform::Handler done);

 private:
  struct Client;
  using ClientId = std::uint64_t;

  void accept_next();
  Result<void> add(platform::LocalConnection connection, bool is_launcher);
  Client* find(ClientId id);
  void drop(ClientId id);
  void read_from(ClientId id);
  void serve_frames(ClientId id);
  void serve(ClientId id, const Frame& frame);
  void greet(ClientId id, std::uint32_t request, const HelloRequest& hello);
  void keep_stream(ClientId id, std::uint32_t request, std::uint64_t token);
  void refuse(ClientId id, std::uint32_t request, const Error& error);
  void leave(ClientId id);
  // Nullopt: the answer comes later.
  using Answer = std::optional<std::vector<std::byte>>;
  Result<Answer> perform(ClientId id, std::uint32_t number, const Request& request,
                         std::vector<platform::UniqueHandle> handles);
  Result<Answer> update(ClientId id, std::uint32_t number, const UpdateRequest& request);
  Result<std::vector<std::byte>> start_process(ClientId id, const ProcessStartRequest& request,
                                               std::vector<platform::UniqueHandle>& handles);
  Result<std::vector<std::byte>> join(ClientId id, const JoinRequest& wanted,
                                      std::vector<platform::UniqueHandle>& handles);
  Result<container::HostStreams> take_streams(const ProcessStartRequest& request,
                                              std::vector<platform::UniqueHandle>& handles);
  std::vector<std::byte> has_begun(ClientId id, const ProcessStartRequest& request,
                                   container::ProcessNumber number);
  Result<void> attach(const AttachRequest& request, std::vector<platform::UniqueHandle>& handles);
  Result<platform::UniqueHandle> take_end(const StreamEnd& end,
                                          std::vector<platform::UniqueHandle>& handles);
  void send(ClientId id, std::vector<std::byte> frame);
  void flush(ClientId id);
  void broadcast(const std::vector<std::byte>& frame);
  void look_whether_read();

  struct Told {
    int kind;  // of the event; 0 = the last statistics
    std::vector<std::byte> frame;
  };

  platform::EventLoop& loop_;
  Requests& requests_;
  std::optional<platform::LocalListener> listener_;
  std::map<ClientId, std::unique_ptr<Client>> clients_;
  ClientId next_id_ = 1;
  std::vector<Told> history_;  // what a client that comes later is told first
  platform::Handler when_read_;
  platform::Timer read_deadline_;
  platform::Timer accept_again_;
};

}  // namespace runhv::control
