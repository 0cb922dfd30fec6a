#include "platform/stream.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <string>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "platform/clock.h"
#include "platform/file_stream.h"
#include "platform/linux/io_result.h"
#include "platform/os_error.h"
#include "platform/readiness.h"

namespace runhv::platform {
namespace {

bool ready(int file, short events) {
  pollfd entry{file, events, 0};
  return ::poll(&entry, 1, 0) > 0;
}

}  // namespace

struct Stream::State {
  enum class Kind { kSocket, kNonBlocking, kPollFirst };

  int number() const { return static_cast<int>(handle.get()); }

  UniqueHandle handle;  // file's where there is one
  Kind kind;
  bool pollable;
  Readiness readiness{};
  std::unique_ptr<FileStream> file{};  // a file that is bound
};

Stream::Stream(std::unique_ptr<State> state) : state_(std::move(state)) {}
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&& other) noexcept = default;
Stream::~Stream() = default;

OsHandle Stream::handle() const { return state_->handle.get(); }

Result<bool> is_for_reading(OsHandle handle) {
  const std::string operation = "use descriptor " + std::to_string(handle);
  const int flags = ::fcntl(static_cast<int>(handle), F_GETFL);
  struct stat info {};
  if (flags < 0 || ::fstat(static_cast<int>(handle), &info) != 0) {
    return Fail{last_os_error(operation)};
  }
  if ((flags & O_PATH) != 0 || S_ISDIR(info.st_mode)) {
    return Fail{Error{Code::kUnsupported, operation, "no bytes can be read from it"}};
  }
  if ((flags & O_ACCMODE) == O_RDONLY) return true;
  if ((flags & O_ACCMODE) == O_WRONLY) return false;
  return Fail{
      Error{Code::kUnsupported, operation,
            "it is open for both ways: a process in a VM can have what is read or written"}};
}

Result<Stream> Stream::adopt(OsHandle handle, bool for_reading) {
  UniqueHandle own(::fcntl(static_cast<int>(handle), F_DUPFD_CLOEXEC, 3));
  if (!own.is_open()) return Fail{last_os_error("take over stream " + std::to_string(handle))};
  return adopt_owned(std::move(own), for_reading);
}

Result<Stream> Stream::adopt_owned(UniqueHandle handle, bool for_reading) {
  const int file = static_cast<int>(handle.get());
  struct stat info {};
  if (::fstat(file, &info) != 0) return Fail{last_os_error("take over a stream")};

  const bool pollable = !S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode) && !S_ISDIR(info.st_mode);
  if (S_ISFIFO(info.st_mode) || S_ISCHR(info.st_mode)) {
    // O_NONBLOCK belongs to the open file, which a shell or a pipeline shares with us; opening it
    // anew gives flags of our own. It fails where the file belongs to another user.
    const std::string path = "/proc/self/fd/" + std::to_string(file);
    const int own = ::open(path.c_str(),
                           (for_reading ? O_RDONLY : O_WRONLY) | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (own >= 0) {
      return Stream(
          std::make_unique<State>(State{UniqueHandle(own), State::Kind::kNonBlocking, pollable}));
    }
  }
  const State::Kind kind = S_ISSOCK(info.st_mode) ? State::Kind::kSocket
                           : pollable             ? State::Kind::kPollFirst
                                                  : State::Kind::kNonBlocking;
  return Stream(std::make_unique<State>(State{std::move(handle), kind, pollable}));
}

bool Stream::ends_both_ways() const {
  return state_->kind == State::Kind::kSocket || ::isatty(state_->number()) == 1;
}

Result<void> Stream::bind(EventLoop& loop) {
  if (state_->pollable) return state_->readiness.bind(loop, state_->handle.get());
  RUNHV_CHECK(state_->file == nullptr);
  RUNHV_TRY_ASSIGN(state_->file, FileStream::create(std::move(state_->handle)));
  state_->file->bind(loop);
  return {};
}

void Stream::on_readable(Handler handler) {
  if (state_->file != nullptr) return state_->file->on_readable(std::move(handler));
  state_->readiness.on_readable(std::move(handler));
}

void Stream::on_writable(Handler handler) {
  if (state_->file != nullptr) return state_->file->on_writable(std::move(handler));
  state_->readiness.on_writable(std::move(handler));
}

void Stream::on_flushed(Handler handler) {
  // Nothing else is ever pending.
  RUNHV_CHECK(state_->file != nullptr);
  state_->file->on_flushed(std::move(handler));
}

IoResult Stream::flush() {
  if (state_->file != nullptr) return state_->file->flush();
  return {IoStatus::kDone, 0, 0};
}

Result<void> Stream::close(std::uint64_t deadline_ns) {
  Result<void> result;
  if (state_->file != nullptr) result = state_->file->close(deadline_ns);
  state_->file.reset();
  state_->readiness = Readiness();
  state_->handle.reset();
  return result;
}

bool Stream::wait_for_room(std::uint64_t deadline_ns) const {
  const std::uint64_t now = monotonic_ns();
  if (now >= deadline_ns) return false;
  pollfd entry{state_->number(), POLLOUT, 0};
  const std::uint64_t milliseconds = (deadline_ns - now + 999'999) / 1'000'000;
  return ::poll(&entry, 1, static_cast<int>(std::min<std::uint64_t>(milliseconds, 60'000))) > 0;
}

void Stream::wait_until_flushed(std::uint64_t deadline_ns) const {
  if (state_->file != nullptr) state_->file->wait_until_flushed(deadline_ns);
}

IoResult Stream::read(std::span<std::byte> out) {
  if (out.empty()) return {IoStatus::kWouldBlock, 0, 0};
  if (state_->file != nullptr) return state_->file->read(out);
  const int file = state_->number();
  if (state_->kind == State::Kind::kSocket) {
    return io_result(::recv(file, out.data(), out.size(), MSG_DONTWAIT));
  }
  if (state_->kind == State::Kind::kPollFirst && !ready(file, POLLIN))
    return {IoStatus::kWouldBlock, 0, 0};
  return io_result(::read(file, out.data(), out.size()));
}

IoResult Stream::write(std::span<const std::byte> in) {
  if (in.empty()) return {IoStatus::kWouldBlock, 0, 0};
  if (state_->file != nullptr) return state_->file->write(in);
  const int file = state_->number();
  if (state_->kind == State::Kind::kSocket) {
    return io_result(::send(file, in.data(), in.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
  }
  if (state_->kind == State::Kind::kPollFirst) {
    if (!ready(file, POLLOUT)) return {IoStatus::kWouldBlock, 0, 0};
    // pipe(7): a pipe that polls writable takes PIPE_BUF bytes without blocking.
    in = in.first(std::min<std::size_t>(in.size(), PIPE_BUF));
  }
  return io_result(::write(file, in.data(), in.size()));
}

}  // namespace runhv::platform
