#include "control/server.h"

#include <algorithm>
#include <array>
#include <deque>
#include <set>
#include <utility>

#include "api/abi.h"
#include "base/log.h"
#include "container/linux_abi.h"
#include "control/client_queue.h"
#include "platform/clock.h"

namespace runhv::control {
namespace {

constexpr std::size_t kReadBytes = 16u << 10;
constexpr int kFramesATurn = 8;
constexpr std::size_t kMaxWarningsKept = 32;
constexpr std::uint64_t kAcceptAgainNs = 100'000'000;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

template <class T>
std::vector<std::byte> bytes_of(const T& structure) {
  const auto bytes = structure_bytes(structure);
  return {bytes.begin(), bytes.end()};
}

Error broken(const std::string& detail) {
  return Error{Code::kCorruptInput, "serve a control client", detail};
}

// The taps are the last of `handles`.
container::JoinedNetwork take_network(const NetworkOfJoin& network,
                                      std::vector<platform::UniqueHandle>& handles) {
  container::JoinedNetwork taken;
  auto tap = handles.end() - static_cast<std::ptrdiff_t>(network.mtus.size());
  for (const std::uint16_t mtu : network.mtus) {
    taken.interfaces.push_back({std::move(*tap++), mtu});
  }
  handles.resize(handles.size() - network.mtus.size());
  taken.messages = network.messages;
  return taken;
}

runhv_control_hello our_hello() {
  auto hello = api::sized<runhv_control_hello>();
  hello.version = RUNHV_CONTROL_VERSION;
  return hello;
}

}  // namespace

struct Server::Client {
  enum class State {
    kNew,       // has not said HELLO or STREAM
    kSpeaking,  // has said HELLO
    kStream,    // waits to be claimed
    kLeaving    // is sent what is left, and heard no more
  };

  Client(platform::LocalConnection its_connection, bool launcher, platform::EventLoop& loop,
         platform::Handler on_impatience, platform::Handler on_turn)
      : connection(std::move(its_connection)),
        is_launcher(launcher),
        patience(loop, std::move(on_impatience)),
        turn(loop, std::move(on_turn)) {}

  platform::LocalConnection connection;
  const bool is_launcher;
  State state = State::kNew;
  bool wants_events = false;
  bool awaits_answer = false;  // that comes later; no request is heard before
  std::uint64_t token = 0;     // in kStream
  FrameReader reader{RUNHV_CONTROL_MAX_PAYLOAD};
  std::deque<platform::UniqueHandle> handles;  // that came, and belong to no frame yet
  ClientQueue queue;
  std::set<runhv_process> processes;  // that end with it
  platform::Timer patience;
  platform::Timer turn;
};

Server::Server(platform::EventLoop& loop, Requests& requests)
    : loop_(loop),
      requests_(requests),
      read_deadline_(loop,
                     [this] {
                       if (when_read_) std::exchange(when_read_, nullptr)();
                     }),
      accept_again_(loop, [this] { listener_->on_connection([this] { accept_next(); }); }) {}

Server::~Server() = default;

Result<void> Server::listen(const std::string& folder, const std::string& name) {
  RUNHV_TRY_ASSIGN(platform::LocalListener listener, platform::LocalListener::bind(folder, name));
  listener_.emplace(std::move(listener));
  RUNHV_TRY(listener_->bind(loop_));
  listener_->on_connection([this] { accept_next(); });
  return {};
}

Result<void> Server::add_launcher(platform::LocalConnection connection) {
  return add(std::move(connection), true);
}

void Server::accept_next() {
  auto connection = listener_->accept();
  if (!connection) {
    // No room for a descriptor: it waits, and so do we.
    debug_log("control", "%s", to_string(connection.error()).c_str());
    accept_again_.set(platform::monotonic_ns() + kAcceptAgainNs);
    return;
  }
  listener_->on_connection([this] { accept_next(); });
  if (!*connection || clients_.size() >= RUNHV_CONTROL_MAX_CLIENTS) return;
  if (const auto added = add(std::move(**connection), false); !added) {
    debug_log("control", "%s", to_string(added.error()).c_str());
  }
}

Result<void> Server::add(platform::LocalConnection connection, bool is_launcher) {
  const ClientId id = next_id_++;
  auto client = std::make_unique<Client>(
      std::move(connection), is_launcher, loop_, [this, id] { drop(id); },
      [this, id] { serve_frames(id); });
  RUNHV_TRY(client->connection.bind(loop_));
  client->connection.on_readable([this, id] { read_from(id); });
  if (!is_launcher) client->patience.set(platform::monotonic_ns() + kUnclaimedNs);
  clients_.emplace(id, std::move(client));
  return {};
}

Server::Client* Server::find(ClientId id) {
  const auto found = clients_.find(id);
  return found != clients_.end() ? found->second.get() : nullptr;
}

void Server::drop(ClientId id) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  const auto processes = std::move(found->second->processes);
  clients_.erase(found);
  for (const runhv_process process : processes) {
    static_cast<void>(requests_.signal(process, container::linux_abi::kSigkill));
  }
  look_whether_read();
}

void Server::read_from(ClientId id) {
  Client* const client = find(id);
  if (client == nullptr) return;
  std::array<std::byte, kReadBytes> bytes;
  std::vector<platform::UniqueHandle> handles;
  const platform::IoResult read = client->connection.receive(bytes, handles);
  std::ranges::move(handles, std::back_inserter(client->handles));
  switch (read.status) {
    case platform::IoStatus::kDone:
      client->reader.append(std::span(bytes).first(read.bytes));
      serve_frames(id);
      return;
    case platform::IoStatus::kWouldBlock:
      client->connection.on_readable([this, id] { read_from(id); });
      return;
    case platform::IoStatus::kEnd:
    case platform::IoStatus::kFailed:
      drop(id);
      return;
  }
}

void Server::serve_frames(ClientId id) {
  for (int served = 0;; ++served) {
    Client* const client = find(id);
    const bool heard = client != nullptr && (client->state == Client::State::kNew ||
                                             client->state == Client::State::kSpeaking);
    // Who does not read the answers is not asked for more; flush() goes on.
    if (!heard || client->awaits_answer || !client->queue.empty()) return;
    if (served == kFramesATurn) {
      client->turn.set(0);
      return;
    }
    const auto frame = client->reader.next();
    if (!frame) {
      refuse(id, 0, frame.error());
      leave(id);
      return;
    }
    if (frame->has_value()) {
      serve(id, **frame);
      continue;
    }
    // A frame's descriptors come with its first byte, so there may be those of one frame here.
    if (client->handles.size() > (client->reader.pending_bytes() != 0
                                      ? std::size_t{RUNHV_CONTROL_MAX_HANDLES}
                                      : std::size_t{0})) {
      refuse(id, 0, broken("descriptors came that no frame names"));
      leave(id);
      return;
    }
    client->connection.on_readable([this, id] { read_from(id); });
    return;
  }
}

void Server::serve(ClientId id, const Frame& frame) {
  Client& client = *find(id);
  const std::uint32_t number = frame.header.request;
  if (frame.header.handles > client.handles.size()) {
    refuse(id, number, broken("a frame names descriptors that did not come"));
    leave(id);
    return;
  }
  std::vector<platform::UniqueHandle> handles;
  for (std::uint16_t i = 0; i < frame.header.handles; ++i) {
    handles.push_back(std::move(client.handles.front()));
    client.handles.pop_front();
  }
  const auto request = parse_request(frame);
  const bool is_new = client.state == Client::State::kNew;
  if (!request) {
    refuse(id, number, request.error());
    if (is_new) leave(id);
    return;
  }
  if (const auto* hello = std::get_if<HelloRequest>(&*request); hello != nullptr && is_new) {
    greet(id, number, *hello);
    return;
  }
  if (const auto* stream = std::get_if<StreamRequest>(&*request); stream != nullptr && is_new) {
    keep_stream(id, number, stream->token);
    return;
  }
  if (is_new) {
    refuse(id, number, broken("HELLO or STREAM comes first"));
    leave(id);
    return;
  }
  const auto answer = perform(id, number, *request, std::move(handles));
  if (!answer) {
    refuse(id, number, answer.error());
    return;
  }
  if (*answer) send(id, encode_frame(frame.header.type | RUNHV_CONTROL_ANSWER, number, **answer));
}

void Server::greet(ClientId id, std::uint32_t request, const HelloRequest& hello) {
  Client& client = *find(id);
  client.patience.cancel();
  client.state = Client::State::kSpeaking;
  send(id,
       encode_frame(RUNHV_CONTROL_HELLO | RUNHV_CONTROL_ANSWER, request, bytes_of(our_hello())));
  if (hello.version != RUNHV_CONTROL_VERSION) {
    leave(id);
    return;
  }
  for (const Told& told : history_) {
    if (hello.wants_events) send(id, told.frame);
  }
  if (Client* const still = find(id)) still->wants_events = hello.wants_events;
  look_whether_read();
}

void Server::keep_stream(ClientId id, std::uint32_t request, std::uint64_t token) {
  const bool taken =
      std::ranges::any_of(clients_, [&](const auto& each) { return each.second->token == token; });
  if (taken) {
    refuse(id, request, {Code::kConflict, "keep a stream", "its token is taken"});
    leave(id);
    return;
  }
  Client& client = *find(id);
  if (client.reader.pending_bytes() != 0 || !client.handles.empty()) {
    refuse(id, request, broken("bytes of the stream came before the answer to STREAM"));
    leave(id);
    return;
  }
  client.state = Client::State::kStream;
  client.token = token;
  client.patience.set(platform::monotonic_ns() + kUnclaimedNs);
  send(id, encode_frame(RUNHV_CONTROL_STREAM | RUNHV_CONTROL_ANSWER, request, {}));
}

void Server::refuse(ClientId id, std::uint32_t request, const Error& error) {
  send(id, encode_frame(RUNHV_CONTROL_ERROR, request, bytes_of(api::to_abi(error))));
}

void Server::leave(ClientId id) {
  Client* const client = find(id);
  if (client == nullptr) return;
  client->state = Client::State::kLeaving;
  client->wants_events = false;
  client->patience.set(platform::monotonic_ns() + kUnclaimedNs);
  if (client->queue.empty()) drop(id);
}

Result<Server::Answer> Server::perform(ClientId id, std::uint32_t number, const Request& request,
                                       std::vector<platform::UniqueHandle> handles) {
  const auto nothing = [](const Result<void>& result) -> Result<Answer> {
    if (!result) return Fail{result.error()};
    return Answer(std::in_place);
  };
  return std::visit(
      Overloaded{
          [](const HelloRequest&) -> Result<Answer> {
            return Fail{Error{Code::kConflict, "greet a control client", "it said HELLO before"}};
          },
          [](const StreamRequest&) -> Result<Answer> {
            return Fail{Error{Code::kConflict, "keep a stream", "STREAM comes in place of HELLO"}};
          },
          [&](const StateRequest&) -> Result<Answer> {
            return Answer(bytes_of(requests_.state()));
          },
          [&](const StatisticsRequest&) -> Result<Answer> {
            RUNHV_TRY_ASSIGN(const runhv_statistics statistics, requests_.statistics());
            return Answer(bytes_of(statistics));
          },
          [&](const StartRequest&) { return nothing(requests_.start()); },
          [&](const SignalRequest& signal) {
            return nothing(requests_.signal(signal.process, signal.signal));
          },
          [&](const StopRequest& stop) {
            return nothing(requests_.stop(stop.signal, stop.grace_ms));
          },
          [&](const PauseRequest&) { return nothing(requests_.pause()); },
          [&](const ResumeRequest&) { return nothing(requests_.resume()); },
          [&](const ProcessStartRequest& start) -> Result<Answer> {
            RUNHV_TRY_ASSIGN(auto process, start_process(id, start, handles));
            return Answer(std::move(process));
          },
          [&](const JoinRequest& wanted) -> Result<Answer> {
            RUNHV_TRY_ASSIGN(auto process, join(id, wanted, handles));
            return Answer(std::move(process));
          },
          [&](const ResizeRequest& resize) {
            return nothing(requests_.resize(resize.process, resize.columns, resize.rows));
          },
          [&](const AttachRequest& attached) { return nothing(attach(attached, handles)); },
          [&](const UpdateRequest& wanted) { return update(id, number, wanted); },
      },
      request);
}

Result<platform::UniqueHandle> Server::take_end(const StreamEnd& end,
                                                std::vector<platform::UniqueHandle>& handles) {
  switch (end.kind) {
    case RUNHV_CONTROL_END_NONE:
      break;
    case RUNHV_CONTROL_END_HANDLE: {
      platform::UniqueHandle handle = std::move(handles.front());
      handles.erase(handles.begin());
      return handle;
    }
    case RUNHV_CONTROL_END_STREAM: {
      const auto kept = std::ranges::find_if(clients_, [&](const auto& each) {
        return each.second->token == end.token && each.second->queue.empty();
      });
      if (kept == clients_.end()) {
        return Fail{Error{Code::kNotFound, "find a stream", "no connection has this token"}};
      }
      platform::UniqueHandle handle = std::move(kept->second->connection).release();
      clients_.erase(kept);
      return handle;
    }
  }
  return platform::UniqueHandle();
}

Result<std::vector<std::byte>> Server::start_process(ClientId id,
                                                     const ProcessStartRequest& request,
                                                     std::vector<platform::UniqueHandle>& handles) {
  container::ProcessConfig config;
  config.json = request.text;
  config.container = request.container;
  config.terminal = (request.flags & RUNHV_PROCESS_TERMINAL) != 0;
  config.archive = (request.flags & RUNHV_PROCESS_ARCHIVE) != 0;
  config.columns = request.columns;
  config.rows = request.rows;
  RUNHV_TRY_ASSIGN(config.streams, take_streams(request, handles));
  RUNHV_TRY_ASSIGN(config.descriptors, container::take_descriptors(std::move(handles)));
  RUNHV_TRY_ASSIGN(const container::ProcessNumber number,
                   requests_.start_process(std::move(config)));
  return has_begun(id, request, number);
}

Result<std::vector<std::byte>> Server::join(ClientId id, const JoinRequest& wanted,
                                            std::vector<platform::UniqueHandle>& handles) {
  const ProcessStartRequest& request = wanted.process;
  container::JoinConfig config;
  config.id = request.text;
  config.terminal = (request.flags & RUNHV_PROCESS_TERMINAL) != 0;
  config.columns = request.columns;
  config.rows = request.rows;
  if (wanted.network) config.network = take_network(*wanted.network, handles);
  RUNHV_TRY_ASSIGN(config.streams, take_streams(request, handles));
  RUNHV_TRY_ASSIGN(config.descriptors, container::take_descriptors(std::move(handles)));
  RUNHV_TRY_ASSIGN(const container::ProcessNumber number, requests_.join(std::move(config)));
  return has_begun(id, request, number);
}

Result<container::HostStreams> Server::take_streams(const ProcessStartRequest& request,
                                                    std::vector<platform::UniqueHandle>& handles) {
  const bool terminal = (request.flags & RUNHV_PROCESS_TERMINAL) != 0;
  container::HostStreams streams;
  for (std::size_t i = 0; i < request.ends.size(); ++i) {
    RUNHV_TRY_ASSIGN(platform::UniqueHandle end, take_end(request.ends[i], handles));
    if (!end.is_open() || (terminal && i == 2)) continue;
    // Where nothing else is given, a terminal's first end carries both directions.
    if (terminal && i == 0) {
      RUNHV_TRY_ASSIGN(streams[1], platform::Stream::adopt(end.get(), false));
    }
    RUNHV_TRY_ASSIGN(streams[i], platform::Stream::adopt_owned(std::move(end), i == 0));
  }
  return streams;
}

std::vector<std::byte> Server::has_begun(ClientId id, const ProcessStartRequest& request,
                                         container::ProcessNumber number) {
  if ((request.flags & RUNHV_CONTROL_ENDS_WITH_CLIENT) != 0) find(id)->processes.insert(number);
  auto process = api::sized<runhv_control_process>();
  process.process = number;
  return bytes_of(process);
}

Result<Server::Answer> Server::update(ClientId id, std::uint32_t number,
                                      const UpdateRequest& request) {
  RUNHV_TRY(requests_.update(
      request.container, request.json, [this, id, number](const Result<void>& result) {
        Client* const client = find(id);
        if (client == nullptr) return;
        client->awaits_answer = false;
        client->turn.set(0);
        if (!result) return refuse(id, number, result.error());
        send(id, encode_frame(RUNHV_CONTROL_UPDATE | RUNHV_CONTROL_ANSWER, number, {}));
      }));
  find(id)->awaits_answer = true;
  return Answer();
}

Result<void> Server::attach(const AttachRequest& request,
                            std::vector<platform::UniqueHandle>& handles) {
  RUNHV_TRY_ASSIGN(platform::UniqueHandle end, take_end(request.end, handles));
  std::optional<platform::Stream> stream;
  if (end.is_open()) {
    RUNHV_TRY_ASSIGN(stream,
                     platform::Stream::adopt_owned(std::move(end), request.stream == RUNHV_STDIN));
  }
  return requests_.attach(request.process, request.stream, std::move(stream));
}

void Server::send(ClientId id, std::vector<std::byte> frame) {
  Client* const client = find(id);
  if (client == nullptr) return;
  const bool waits = !client->queue.empty();
  if (!client->queue.push(std::move(frame))) {
    drop(id);
    return;
  }
  if (!waits) flush(id);
}

void Server::flush(ClientId id) {
  Client* const client = find(id);
  if (client == nullptr) return;
  while (!client->queue.empty()) {
    const platform::IoResult written = client->connection.write(client->queue.front());
    if (written.status == platform::IoStatus::kWouldBlock) {
      client->connection.on_writable([this, id] {
        flush(id);
        // Its requests waited for it to read.
        if (Client* const ready = find(id)) ready->turn.set(0);
      });
      return;
    }
    if (written.status != platform::IoStatus::kDone) {
      drop(id);
      return;
    }
    client->queue.sent(written.bytes);
  }
  if (client->state == Client::State::kLeaving) drop(id);
  look_whether_read();
}

void Server::tell(const runhv_event& event) {
  const auto forget = [this](int kind) {
    std::erase_if(history_, [kind](const Told& told) { return told.kind == kind; });
  };
  std::vector<std::byte> frame = encode_frame(RUNHV_CONTROL_EVENT, 0, structure_bytes(event));
  switch (event.kind) {
    case RUNHV_EVENT_CREATED:
    case RUNHV_EVENT_STARTED:
    case RUNHV_EVENT_PAUSED:
    case RUNHV_EVENT_ENDED:
      history_.push_back({event.kind, frame});
      break;
    case RUNHV_EVENT_OUT_OF_MEMORY:
      forget(event.kind);
      history_.push_back({event.kind, frame});
      break;
    case RUNHV_EVENT_RESUMED:
      forget(RUNHV_EVENT_PAUSED);
      break;
    case RUNHV_EVENT_PROCESS_ENDED:
      for (const auto& [id, client] : clients_) client->processes.erase(event.process);
      break;
    case RUNHV_EVENT_WARNING:
      if (std::ranges::count(history_, event.kind, &Told::kind) <
          static_cast<std::ptrdiff_t>(kMaxWarningsKept)) {
        history_.push_back({event.kind, frame});
      }
      break;
    default:
      break;
  }
  broadcast(frame);
}

void Server::tell_last(const runhv_statistics& statistics) {
  std::vector<std::byte> frame =
      encode_frame(RUNHV_CONTROL_STATISTICS | RUNHV_CONTROL_ANSWER, 0, structure_bytes(statistics));
  history_.push_back({0, frame});
  broadcast(frame);
}

void Server::broadcast(const std::vector<std::byte>& frame) {
  // Sending may drop the client.
  std::vector<ClientId> listeners;
  for (const auto& [id, client] : clients_) {
    if (client->wants_events) listeners.push_back(id);
  }
  for (const ClientId id : listeners) send(id, frame);
}

void Server::when_read(std::uint64_t deadline_ns, platform::Handler done) {
  when_read_ = std::move(done);
  read_deadline_.set(deadline_ns);
  look_whether_read();
}

void Server::look_whether_read() {
  if (!when_read_) return;
  const bool waits = std::ranges::any_of(clients_, [](const auto& each) {
    const Client& client = *each.second;
    return !client.queue.empty() || (client.is_launcher && client.state == Client::State::kNew);
  });
  // Posted, since a caller further up may still use its client.
  if (!waits) read_deadline_.set(0);
}

}  // namespace runhv::control
