#include "platform/local_socket.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "platform/file.h"
#include "platform/os_error.h"
#include "platform/random_name.h"
#include "platform/readiness.h"
#include "platform/windows/io_result.h"
#include "platform/windows/named_pipe.h"
#include "platform/windows/native_path.h"
#include "platform/windows/overlapped_pipe.h"
#include "platform/windows/private_folder.h"

namespace runhv::platform {
namespace {

constexpr std::size_t kMaxNameLength = 64;
// Clients that may wait to be accepted: each instance of a pipe takes one.
constexpr std::size_t kListening = 16;
constexpr std::uint64_t kMaxPipeNameBytes = 64;

bool valid_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameLength &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos &&
         name != "." && name != "..";
}

// The pipe that the file names, where it was written by a listener of ours: whoever wrote something
// else there must not choose what we open.
std::optional<std::string> pipe_named_in(std::span<const std::byte> file) {
  std::string name(reinterpret_cast<const char*>(file.data()), file.size());
  const bool ours =
      name.starts_with(kPipePrefix) &&
      name.find_first_not_of("0123456789abcdef", kPipePrefix.size()) == std::string::npos;
  return ours ? std::optional(std::move(name)) : std::nullopt;
}

struct Remote {
  LocalConnection::Peer peer;
  bool trusted;  // of this user or the system
  bool ours;     // of this user, in this logon session
};

Result<Remote> remote_of(const UniqueHandle& pipe, const std::string& operation) {
  DWORD flags = 0;
  ULONG pid = 0;
  if (!::GetNamedPipeInfo(native(pipe), &flags, nullptr, nullptr, nullptr)) {
    return Fail{last_os_error(operation)};
  }
  const bool known = (flags & PIPE_SERVER_END) != 0
                         ? ::GetNamedPipeClientProcessId(native(pipe), &pid) != 0
                         : ::GetNamedPipeServerProcessId(native(pipe), &pid) != 0;
  if (!known) return Fail{last_os_error(operation)};
  RUNHV_TRY_ASSIGN(const ProcessUser user, ProcessUser::of(pid, operation));
  RUNHV_TRY_ASSIGN(const ProcessUser own_user, ProcessUser::own(operation));
  const bool same = own_user.sid.equals(user.sid.get());
  return Remote{{user.sid.number(), pid},
                same || ::IsWellKnownSid(user.sid.get(), WinLocalSystemSid) != 0,
                same && own_user.logon == user.logon};
}

}  // namespace

struct LocalConnection::State {
  std::unique_ptr<OverlappedPipe> pipe;
  Peer peer;
  bool ours;
};

LocalConnection::LocalConnection(std::unique_ptr<State> state) : state_(std::move(state)) {}
LocalConnection::LocalConnection(LocalConnection&&) noexcept = default;
LocalConnection& LocalConnection::operator=(LocalConnection&& other) noexcept = default;
LocalConnection::~LocalConnection() = default;

Result<LocalConnection> LocalConnection::connect(const std::string& path) {
  const std::string operation = "connect to " + path;
  const std::size_t slash = path.find_last_of("/\\");
  if (!valid_name(slash == std::string::npos ? path : path.substr(slash + 1))) {
    return Fail{Error{Code::kInvalidArgument, operation, "its last part is no name of a socket"}};
  }
  RUNHV_TRY_ASSIGN(const std::vector<std::byte> file, read_file(path, kMaxPipeNameBytes));
  const std::optional<std::string> name = pipe_named_in(file);
  if (!name) {
    return Fail{Error{Code::kInvalidArgument, operation, "the file names no pipe of runhv"}};
  }
  UniqueHandle handle = open_pipe(pipe_path(*name), GENERIC_READ | GENERIC_WRITE);
  if (!handle.is_open()) {
    Error error = last_os_error(operation);
    if (error.os_code == ERROR_FILE_NOT_FOUND) {
      error.detail = "nobody listens there; its process has ended";
    }
    if (error.os_code == ERROR_PIPE_BUSY) {
      error.code = Code::kConflict;
      error.detail = "too many wait there already; try again";
    }
    return Fail{std::move(error)};
  }
  RUNHV_TRY_ASSIGN(const Remote remote, remote_of(handle, operation));
  if (!remote.trusted) {
    return Fail{Error{Code::kAccessDenied, operation,
                      "another user listens there: process " + std::to_string(remote.peer.pid)}};
  }
  RUNHV_TRY_ASSIGN(auto pipe, OverlappedPipe::create(std::move(handle)));
  return LocalConnection(std::make_unique<State>(State{std::move(pipe), remote.peer, remote.ours}));
}

Result<std::pair<LocalConnection, LocalConnection>> LocalConnection::pair() {
  const std::string operation = "make a connection";
  RUNHV_TRY_ASSIGN(PrivateAccess access, PrivateAccess::create(operation));
  const std::wstring path = pipe_path(std::string(kPipePrefix) + random_name());
  UniqueHandle ours = make_pipe_instance(path, PIPE_ACCESS_DUPLEX, true, access);
  if (!ours.is_open()) return Fail{last_os_error(operation)};
  // Before anybody waits for it: so that it is connected at once.
  UniqueHandle theirs = open_pipe(path, GENERIC_READ | GENERIC_WRITE);
  if (!theirs.is_open()) return Fail{last_os_error(operation)};
  RUNHV_TRY_ASSIGN(LocalConnection first, adopt_owned(std::move(ours)));
  RUNHV_TRY_ASSIGN(LocalConnection second, adopt_owned(std::move(theirs)));
  return std::pair(std::move(first), std::move(second));
}

Result<LocalConnection> LocalConnection::adopt_owned(UniqueHandle handle) {
  const std::string operation = "take over a connection";
  if (!is_overlapped_pipe(handle.get())) {
    return Fail{Error{Code::kInvalidArgument, operation,
                      "it is no named pipe that was opened for overlapped I/O"}};
  }
  RUNHV_TRY_ASSIGN(const Remote remote, remote_of(handle, operation));
  RUNHV_TRY_ASSIGN(auto pipe, OverlappedPipe::create(std::move(handle)));
  return LocalConnection(std::make_unique<State>(State{std::move(pipe), remote.peer, remote.ours}));
}

LocalConnection::Peer LocalConnection::peer() const { return state_->peer; }
bool LocalConnection::peer_is_ours() const { return state_->ours; }
OsHandle LocalConnection::handle() const { return state_->pipe->handle(); }
Result<void> LocalConnection::bind(EventLoop& loop) { return state_->pipe->bind(loop); }

void LocalConnection::on_readable(Handler handler) {
  state_->pipe->on_readable(std::move(handler));
}

void LocalConnection::on_writable(Handler handler) {
  state_->pipe->on_writable(std::move(handler));
}

IoResult LocalConnection::read(std::span<std::byte> out) { return state_->pipe->read(out); }
IoResult LocalConnection::write(std::span<const std::byte> in) { return state_->pipe->write(in); }

bool LocalConnection::carries_handles() { return false; }

IoResult LocalConnection::send(std::span<const std::byte> in, std::span<const OsHandle> handles) {
  RUNHV_CHECK(!in.empty() && handles.size() <= kMaxHandles);
  // A pipe carries bytes only.
  if (!handles.empty()) return {IoStatus::kFailed, 0, ERROR_NOT_SUPPORTED};
  return write(in);
}

IoResult LocalConnection::receive(std::span<std::byte> out, std::vector<UniqueHandle>&) {
  return read(out);
}

UniqueHandle LocalConnection::release() && { return state_->pipe->release(); }

struct LocalListener::State {
  // One that a client can connect to, or has connected to.
  struct Instance {
    UniqueHandle pipe;
    OVERLAPPED overlapped{};
    bool waits = false;  // for a client, as theirs as the system has not said otherwise

    bool has_client() { return !waits || HasOverlappedIoCompleted(&overlapped); }
  };

  State(UniqueHandle kept_folder, std::string name_path, std::wstring pipe_name,
        PrivateAccess pipe_access, UniqueHandle connected_event)
      : folder(std::move(kept_folder)),
        path(std::move(name_path)),
        pipe(std::move(pipe_name)),
        access(std::move(pipe_access)),
        connected(std::move(connected_event)) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    for (const auto& instance : instances) {
      if (!instance->waits) continue;
      DWORD ignored = 0;
      ::CancelIoEx(native(instance->pipe), &instance->overlapped);
      ::GetOverlappedResult(native(instance->pipe), &instance->overlapped, &ignored, TRUE);
    }
  }

  Result<std::unique_ptr<Instance>> listen(const std::string& operation) {
    auto instance = std::make_unique<Instance>();
    instance->pipe = make_pipe_instance(pipe, PIPE_ACCESS_DUPLEX, instances.empty(), access);
    if (!instance->pipe.is_open()) return Fail{last_os_error(operation)};
    instance->overlapped.hEvent = native(connected);
    if (!::ConnectNamedPipe(native(instance->pipe), &instance->overlapped)) {
      // One that came, or came and went, in between is a client.
      const DWORD code = ::GetLastError();
      instance->waits = code == ERROR_IO_PENDING;
      if (!instance->waits && code != ERROR_PIPE_CONNECTED && code != ERROR_NO_DATA) {
        return Fail{os_error(operation, code)};
      }
    }
    return instance;
  }

  // All instances have one event, and each that begins to wait clears it.
  void tell_of_clients() {
    ::ResetEvent(native(connected));
    if (std::ranges::any_of(instances, [](const auto& each) { return each->has_client(); })) {
      ::SetEvent(native(connected));
    }
  }

  UniqueHandle folder;  // held, so that the path stays what it is
  std::string path;
  std::wstring pipe;
  PrivateAccess access;
  UniqueHandle connected;
  std::vector<std::unique_ptr<Instance>> instances;
  Readiness readiness;
  bool named = false;
};

LocalListener::LocalListener(std::unique_ptr<State> state) : state_(std::move(state)) {}
LocalListener::LocalListener(LocalListener&&) noexcept = default;

LocalListener::~LocalListener() {
  if (state_ == nullptr || !state_->named) return;
  if (const auto path = native_path(state_->path, "")) ::DeleteFileW(path->c_str());
}

Result<LocalListener> LocalListener::bind(const std::string& folder, const std::string& name) {
  const std::string path = folder + "/" + name;
  const std::string operation = "listen at " + path;
  RUNHV_CHECK(valid_name(name));
  RUNHV_TRY_ASSIGN(UniqueHandle directory, open_private_folder(folder, operation));
  if (file_exists(path)) {
    const auto file = read_file(path, kMaxPipeNameBytes);
    const auto left = file ? pipe_named_in(*file) : std::nullopt;
    // One that ended has taken its pipe along.
    if (!left || ::WaitNamedPipeW(pipe_path(*left).c_str(), 1) != 0 ||
        ::GetLastError() != ERROR_FILE_NOT_FOUND) {
      return Fail{Error{Code::kConflict, operation, "it is in use"}};
    }
  }
  RUNHV_TRY_ASSIGN(PrivateAccess access, PrivateAccess::create(operation));
  UniqueHandle connected = own(::CreateEventW(nullptr, TRUE, FALSE, nullptr));
  if (!connected.is_open()) return Fail{last_os_error(operation)};
  const std::string pipe = std::string(kPipePrefix) + random_name();
  auto state = std::make_unique<State>(std::move(directory), path, pipe_path(pipe),
                                       std::move(access), std::move(connected));
  while (state->instances.size() < kListening) {
    RUNHV_TRY_ASSIGN(auto instance, state->listen(operation));
    state->instances.push_back(std::move(instance));
  }
  // Now that it listens: whoever finds the name can connect.
  RUNHV_TRY(write_file_atomically(path, as_bytes(pipe), Durability::kUnsynced));
  state->named = true;
  return LocalListener(std::move(state));
}

Result<UniqueHandle> LocalListener::release() && {
  return Fail{Error{Code::kUnsupported, "give a listener to another process",
                    "on Windows it stays with the process that made it"}};
}

Result<void> LocalListener::bind(EventLoop& loop) {
  return state_->readiness.bind(loop, state_->connected.get());
}

void LocalListener::on_connection(Handler handler) {
  state_->readiness.on_readable(std::move(handler));
}

Result<std::optional<LocalConnection>> LocalListener::accept() {
  const std::string operation = "accept a connection";
  while (true) {
    const auto ready = std::ranges::find_if(state_->instances,
                                            [](const auto& each) { return each->has_client(); });
    if (ready == state_->instances.end()) {
      state_->tell_of_clients();
      return std::optional<LocalConnection>();
    }
    // In its place first: the client waits where there is no room for the next one.
    RUNHV_TRY_ASSIGN(auto next, state_->listen(operation));
    ready->swap(next);
    state_->tell_of_clients();
    const auto remote = remote_of(next->pipe, operation);
    // One that has ended meanwhile wants nothing.
    if (!remote || !remote->trusted) continue;
    RUNHV_TRY_ASSIGN(auto pipe, OverlappedPipe::create(std::move(next->pipe)));
    return std::optional<LocalConnection>(LocalConnection(std::make_unique<LocalConnection::State>(
        LocalConnection::State{std::move(pipe), remote->peer, remote->ours})));
  }
}

}  // namespace runhv::platform
