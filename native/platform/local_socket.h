// Byte streams between processes of one host, by a name in a folder that only their user may enter:
// the control channel. Linux: stream sockets. Windows: named pipes; a file of the folder says
// which.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "platform/event_loop.h"
#include "platform/handle.h"
#include "platform/stream.h"

namespace runhv::platform {

// Threads: as Stream.
class LocalConnection {
 public:
  static constexpr std::size_t kMaxHandles = 16;

  struct Peer {
    std::uint32_t uid;  // as current_user_id() gives it
    std::uint64_t pid;  // 0 where it is in another pid namespace
  };

  // Connects to the LocalListener at `path`, of any length. Waits for nothing: kConflict where more
  // wait to be accepted than the system allows. kNotFound where nobody listens, kAccessDenied where
  // the listener is neither of this user nor of root.
  static Result<LocalConnection> connect(const std::string& path);
  // Both ends of a connection without a name.
  static Result<std::pair<LocalConnection, LocalConnection>> pair();
  // A connection that came over another one or was inherited; kInvalidArgument for anything else.
  static Result<LocalConnection> adopt_owned(UniqueHandle handle);
  LocalConnection(LocalConnection&&) noexcept;
  LocalConnection& operator=(LocalConnection&& other) noexcept;
  ~LocalConnection();

  // As Stream's. Handles that come with what read() takes are closed.
  IoResult read(std::span<std::byte> out);
  IoResult write(std::span<const std::byte> in);

  // Whether handles can go over a connection; Windows: no.
  static bool carries_handles();
  // write() with copies of at most kMaxHandles `handles`, which arrive with the first byte: with
  // kDone all have gone, otherwise none. Where none can go, with handles it is kFailed
  // (ERROR_NOT_SUPPORTED). REQUIRES: `in` is not empty.
  IoResult send(std::span<const std::byte> in, std::span<const OsHandle> handles);
  // read(), and adds the handles that came with these bytes to `handles`. The bytes may begin
  // before those that the handles were sent with, and end with them at the latest. Never more than
  // kMaxHandles; kFailed with EMSGSIZE where the peer sent more, with EMFILE where this process has
  // no room for them; the bytes are lost then, and every handle is closed.
  IoResult receive(std::span<std::byte> out, std::vector<UniqueHandle>& handles);

  // Who was at the other end when it connected.
  Peer peer() const;
  // Whether that was a process of this user, and on Windows of this logon session: one whose rights
  // are not raised is none of ours where this process's are, nor the other way round.
  bool peer_is_ours() const;

  // A source (platform/event_loop.h).
  Result<void> bind(EventLoop& loop);
  void on_readable(Handler handler);
  void on_writable(Handler handler);

  OsHandle handle() const;
  // Ends this object and gives its handle away, for a Stream or a child's stdio.
  UniqueHandle release() &&;

 private:
  friend class LocalListener;
  struct State;
  explicit LocalConnection(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;  // empty once moved from
};

class LocalListener {
 public:
  // Listens as `name` in `folder`, which is of this user and lets nobody else in (mode 0700 on
  // Linux; make_private_directory). A name that a process has left behind is taken; kConflict where
  // somebody listens. REQUIRES: one process at a time (FolderLock); `name` has 1 to 64 characters
  // and no '/'.
  static Result<LocalListener> bind(const std::string& folder, const std::string& name);

  LocalListener(LocalListener&&) noexcept;
  LocalListener& operator=(LocalListener&&) = delete;
  // Takes the name away.
  ~LocalListener();

  // Empty: nobody waits. Peers that are neither of this user nor root are turned away. An error
  // (EMFILE) leaves them waiting: ask again later, not at once.
  Result<std::optional<LocalConnection>> accept();

  // Ends this object and gives its handle away, for the standard input of a process that accepts
  // from then on. The name stays. Windows: kUnsupported.
  Result<UniqueHandle> release() &&;

  // A source (platform/event_loop.h).
  Result<void> bind(EventLoop& loop);
  void on_connection(Handler handler);

 private:
  struct State;
  explicit LocalListener(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;  // empty once moved from
};

}  // namespace runhv::platform
