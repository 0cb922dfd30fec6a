#include "platform/local_socket.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "platform/linux/descriptor.h"
#include "platform/linux/io_result.h"
#include "platform/linux/private_folder.h"
#include "platform/os_error.h"
#include "platform/readiness.h"

namespace runhv::platform {
namespace {

constexpr std::size_t kMaxNameLength = 64;
constexpr int kBacklog = 128;  // far less than any limit of open handles

// unix(7): an address holds 107 characters and a path may have more, so it is told by the folder's
// descriptor.
sockaddr_un address_in(const UniqueHandle& folder, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(folder.get()) + "/" + name;
  RUNHV_CHECK(path.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

bool valid_name(const std::string& name) {
  return !name.empty() && name.size() <= kMaxNameLength && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos && name != "." && name != "..";
}

UniqueHandle make_socket() {
  return UniqueHandle(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

template <class Call>
bool at_address(Call call, const UniqueHandle& socket, const sockaddr_un& address) {
  return call(number(socket), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

Result<LocalConnection::Peer> peer_of(const UniqueHandle& socket, const std::string& operation) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(number(socket), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return Fail{last_os_error(operation)};
  }
  return LocalConnection::Peer{credentials.uid, static_cast<std::uint64_t>(credentials.pid)};
}

// kConflict where `name` is anything but absent or what a process that was killed has left behind.
Result<void> no_one_listens(const UniqueHandle& directory, const std::string& name,
                            const std::string& operation) {
  struct stat info {};
  if (::fstatat(number(directory), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return Fail{last_os_error(operation)};
  }
  const UniqueHandle probe = make_socket();
  if (!probe.is_open()) return Fail{last_os_error(operation)};
  if (!S_ISSOCK(info.st_mode) || at_address(::connect, probe, address_in(directory, name)) ||
      errno != ECONNREFUSED) {
    return Fail{Error{Code::kConflict, operation, "it is in use"}};
  }
  return {};
}

bool is_of_this_user_or_root(const LocalConnection::Peer& peer) {
  return peer.uid == 0 || peer.uid == ::geteuid();
}

}  // namespace

struct LocalConnection::State {
  UniqueHandle handle;
  Peer peer;
  Readiness readiness{};
};

LocalConnection::LocalConnection(std::unique_ptr<State> state) : state_(std::move(state)) {}
LocalConnection::LocalConnection(LocalConnection&&) noexcept = default;
LocalConnection& LocalConnection::operator=(LocalConnection&& other) noexcept = default;
LocalConnection::~LocalConnection() = default;

LocalConnection::Peer LocalConnection::peer() const { return state_->peer; }
bool LocalConnection::peer_is_ours() const { return state_->peer.uid == ::geteuid(); }
OsHandle LocalConnection::handle() const { return state_->handle.get(); }

Result<void> LocalConnection::bind(EventLoop& loop) {
  return state_->readiness.bind(loop, state_->handle.get());
}

void LocalConnection::on_readable(Handler handler) {
  state_->readiness.on_readable(std::move(handler));
}

void LocalConnection::on_writable(Handler handler) {
  state_->readiness.on_writable(std::move(handler));
}

Result<LocalConnection> LocalConnection::connect(const std::string& path) {
  const std::string operation = "connect to " + path;
  const std::size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (!valid_name(name)) {
    return Fail{Error{Code::kInvalidArgument, operation, "its last part is no name of a socket"}};
  }
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueHandle directory(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.is_open()) return Fail{last_os_error(operation)};
  UniqueHandle socket = make_socket();
  if (!socket.is_open()) return Fail{last_os_error(operation)};
  if (!at_address(::connect, socket, address_in(directory, name))) {
    Error error = last_os_error(operation);
    if (error.os_code == ECONNREFUSED) {
      error.code = Code::kNotFound;
      error.detail = "nobody listens there; its process has ended";
    }
    if (error.os_code == EAGAIN) {
      error.code = Code::kConflict;
      error.detail = "too many wait there already; try again";
    }
    return Fail{std::move(error)};
  }
  RUNHV_TRY_ASSIGN(const Peer peer, peer_of(socket, operation));
  if (!is_of_this_user_or_root(peer) && ::geteuid() != 0) {
    return Fail{Error{Code::kAccessDenied, operation,
                      "user " + std::to_string(peer.uid) + " listens there, who is not this user"}};
  }
  // The calls say themselves that they do not wait; who gets the handle by release() may.
  if (::fcntl(number(socket), F_SETFL, 0) != 0) return Fail{last_os_error(operation)};
  return LocalConnection(std::make_unique<State>(State{std::move(socket), peer}));
}

Result<std::pair<LocalConnection, LocalConnection>> LocalConnection::pair() {
  const std::string operation = "make a connection";
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return Fail{last_os_error(operation)};
  }
  UniqueHandle near(ends[0]), far(ends[1]);
  RUNHV_TRY_ASSIGN(const Peer peer, peer_of(near, operation));
  return std::pair(LocalConnection(std::make_unique<State>(State{std::move(near), peer})),
                   LocalConnection(std::make_unique<State>(State{std::move(far), peer})));
}

Result<LocalConnection> LocalConnection::adopt_owned(UniqueHandle handle) {
  const std::string operation = "take over a connection";
  int domain = 0, type = 0;
  socklen_t size = sizeof domain;
  if (::getsockopt(number(handle), SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 ||
      ::getsockopt(number(handle), SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
    return Fail{last_os_error(operation)};
  }
  if (domain != AF_UNIX || type != SOCK_STREAM) {
    return Fail{Error{Code::kInvalidArgument, operation, "it is no local stream socket"}};
  }
  RUNHV_TRY_ASSIGN(const Peer peer, peer_of(handle, operation));
  return LocalConnection(std::make_unique<State>(State{std::move(handle), peer}));
}

// Without room for control messages, the kernel closes the handles that come.
IoResult LocalConnection::read(std::span<std::byte> out) {
  if (out.empty()) return {IoStatus::kWouldBlock, 0, 0};
  return io_result(::recv(number(state_->handle), out.data(), out.size(), MSG_DONTWAIT));
}

IoResult LocalConnection::write(std::span<const std::byte> in) {
  if (in.empty()) return {IoStatus::kWouldBlock, 0, 0};
  return io_result(
      ::send(number(state_->handle), in.data(), in.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
}

namespace {

// unix(7), cmsg(3): what carries the handles of one message.
struct HandleMessage {
  explicit HandleMessage(std::span<std::byte> bytes) {
    part.iov_base = bytes.data();
    part.iov_len = bytes.size();
    header.msg_iov = &part;
    header.msg_iovlen = 1;
  }
  iovec part{};
  msghdr header{};
  alignas(cmsghdr)
      std::array<std::byte, CMSG_SPACE(LocalConnection::kMaxHandles * sizeof(int))> control{};
};

}  // namespace

bool LocalConnection::carries_handles() { return true; }

IoResult LocalConnection::send(std::span<const std::byte> in, std::span<const OsHandle> handles) {
  RUNHV_CHECK(!in.empty() && handles.size() <= kMaxHandles);
  if (handles.empty()) return write(in);
  HandleMessage message({const_cast<std::byte*>(in.data()), in.size()});
  message.header.msg_control = message.control.data();
  message.header.msg_controllen = CMSG_SPACE(handles.size() * sizeof(int));
  cmsghdr* control = CMSG_FIRSTHDR(&message.header);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(handles.size() * sizeof(int));
  for (std::size_t i = 0; i < handles.size(); ++i) {
    const int file = static_cast<int>(handles[i]);
    std::memcpy(CMSG_DATA(control) + i * sizeof file, &file, sizeof file);
  }
  return io_result(::sendmsg(number(state_->handle), &message.header, MSG_DONTWAIT | MSG_NOSIGNAL));
}

IoResult LocalConnection::receive(std::span<std::byte> out, std::vector<UniqueHandle>& handles) {
  if (out.empty()) return {IoStatus::kWouldBlock, 0, 0};
  HandleMessage message(out);
  message.header.msg_control = message.control.data();
  message.header.msg_controllen = message.control.size();
  const ssize_t count =
      ::recvmsg(number(state_->handle), &message.header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (count < 0) return io_result(count);
  std::vector<UniqueHandle> received;
  for (cmsghdr* control = CMSG_FIRSTHDR(&message.header); control != nullptr;
       control = CMSG_NXTHDR(&message.header, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t files = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < files; ++i) {
      int file = -1;
      std::memcpy(&file, CMSG_DATA(control) + i * sizeof file, sizeof file);
      received.emplace_back(file);
    }
  }
  // unix(7): set where there were more than fit, and where the limit of this process was met.
  if ((message.header.msg_flags & MSG_CTRUNC) != 0) {
    return {IoStatus::kFailed, 0, received.size() == kMaxHandles ? EMSGSIZE : EMFILE};
  }
  for (UniqueHandle& each : received) handles.push_back(std::move(each));
  return io_result(count);
}

UniqueHandle LocalConnection::release() && {
  state_->readiness = Readiness();
  return std::move(state_->handle);
}

struct LocalListener::State {
  UniqueHandle folder;
  std::string name;
  UniqueHandle handle;
  Readiness readiness{};
};

LocalListener::LocalListener(std::unique_ptr<State> state) : state_(std::move(state)) {}
LocalListener::LocalListener(LocalListener&&) noexcept = default;

Result<LocalListener> LocalListener::bind(const std::string& folder, const std::string& name) {
  const std::string operation = "listen at " + folder + "/" + name;
  RUNHV_CHECK(valid_name(name));
  RUNHV_TRY_ASSIGN(UniqueHandle directory, open_private_folder(folder, operation));
  UniqueHandle socket = make_socket();
  if (!socket.is_open()) return Fail{last_os_error(operation)};
  RUNHV_TRY(no_one_listens(directory, name, operation));
  // Under another name until it listens: whoever finds `name` can connect.
  const std::string early = name + ".new";
  if (::unlinkat(number(directory), early.c_str(), 0) != 0 && errno != ENOENT) {
    return Fail{last_os_error(operation)};
  }
  if (!at_address(::bind, socket, address_in(directory, early))) {
    return Fail{last_os_error(operation)};
  }
  if (::listen(number(socket), kBacklog) != 0 ||
      ::renameat(number(directory), early.c_str(), number(directory), name.c_str()) != 0) {
    Error error = last_os_error(operation);
    ::unlinkat(number(directory), early.c_str(), 0);
    return Fail{std::move(error)};
  }
  return LocalListener(
      std::make_unique<State>(State{std::move(directory), name, std::move(socket)}));
}

LocalListener::~LocalListener() {
  if (state_ != nullptr && state_->handle.is_open()) {
    ::unlinkat(number(state_->folder), state_->name.c_str(), 0);
  }
}

Result<UniqueHandle> LocalListener::release() && {
  state_->readiness = Readiness();
  return std::move(state_->handle);
}

Result<void> LocalListener::bind(EventLoop& loop) {
  return state_->readiness.bind(loop, state_->handle.get());
}

void LocalListener::on_connection(Handler handler) {
  state_->readiness.on_readable(std::move(handler));
}

Result<std::optional<LocalConnection>> LocalListener::accept() {
  const std::string operation = "accept a connection";
  while (true) {
    UniqueHandle socket(::accept4(number(state_->handle), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket.is_open()) {
      if (errno == EAGAIN) return std::optional<LocalConnection>();
      // accept(2): the peer has gone meanwhile.
      if (errno == ECONNABORTED || errno == EINTR) continue;
      return Fail{last_os_error(operation)};
    }
    RUNHV_TRY_ASSIGN(const LocalConnection::Peer peer, peer_of(socket, operation));
    if (!is_of_this_user_or_root(peer)) continue;
    return std::optional<LocalConnection>(LocalConnection(
        std::make_unique<LocalConnection::State>(LocalConnection::State{std::move(socket), peer})));
  }
}

}  // namespace runhv::platform
