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
#include "platform/linux/file_stream.h"
#include "platform/linux/io_result.h"
#include "platform/os_error.h"

namespace runhv::platform {
namespace {

bool ready(int file, short events) {
  pollfd entry{file, events, 0};
  return ::poll(&entry, 1, 0) > 0;
}

}  // namespace

Stream::Stream(UniqueHandle handle, Kind kind, bool pollable)
    : handle_(std::move(handle)), kind_(kind), pollable_(pollable) {}
Stream::Stream(Stream&&) noexcept = default;

Stream& Stream::operator=(Stream&& other) noexcept {
  readiness_ = std::move(other.readiness_);  // first: it is bound to the handle
  handle_ = std::move(other.handle_);
  kind_ = other.kind_;
  pollable_ = other.pollable_;
  file_ = std::move(other.file_);
  return *this;
}

Stream::~Stream() = default;

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
    if (own >= 0) return Stream(UniqueHandle(own), Kind::kNonBlocking, pollable);
  }
  const Kind kind = S_ISSOCK(info.st_mode) ? Kind::kSocket
                    : pollable             ? Kind::kPollFirst
                                           : Kind::kNonBlocking;
  return Stream(std::move(handle), kind, pollable);
}

bool Stream::ends_both_ways() const {
  return kind_ == Kind::kSocket || ::isatty(static_cast<int>(handle_.get())) == 1;
}

Result<void> Stream::bind(EventLoop& loop) {
  if (pollable_) return readiness_.bind(loop, handle_.get());
  RUNHV_CHECK(file_ == nullptr);
  RUNHV_TRY_ASSIGN(file_, FileStream::create(std::move(handle_), loop));
  return {};
}

void Stream::on_readable(Handler handler) {
  if (file_ != nullptr) return file_->on_readable(std::move(handler));
  readiness_.on_readable(std::move(handler));
}

void Stream::on_writable(Handler handler) {
  if (file_ != nullptr) return file_->on_writable(std::move(handler));
  readiness_.on_writable(std::move(handler));
}

void Stream::on_flushed(Handler handler) {
  // Nothing else is ever pending.
  RUNHV_CHECK(file_ != nullptr);
  file_->on_flushed(std::move(handler));
}

IoResult Stream::flush() {
  if (file_ != nullptr) return file_->flush();
  return {IoStatus::kDone, 0, 0};
}

Result<void> Stream::close(std::uint64_t deadline_ns) {
  Result<void> result;
  if (file_ != nullptr) result = file_->close(deadline_ns);
  file_.reset();
  readiness_ = Readiness();
  handle_.reset();
  return result;
}

IoResult Stream::read(std::span<std::byte> out) {
  if (out.empty()) return {IoStatus::kWouldBlock, 0, 0};
  if (file_ != nullptr) return file_->read(out);
  const int file = static_cast<int>(handle_.get());
  if (kind_ == Kind::kSocket) {
    return io_result(::recv(file, out.data(), out.size(), MSG_DONTWAIT));
  }
  if (kind_ == Kind::kPollFirst && !ready(file, POLLIN)) return {IoStatus::kWouldBlock, 0, 0};
  return io_result(::read(file, out.data(), out.size()));
}

IoResult Stream::write(std::span<const std::byte> in) {
  if (in.empty()) return {IoStatus::kWouldBlock, 0, 0};
  if (file_ != nullptr) return file_->write(in);
  const int file = static_cast<int>(handle_.get());
  if (kind_ == Kind::kSocket) {
    return io_result(::send(file, in.data(), in.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
  }
  if (kind_ == Kind::kPollFirst) {
    if (!ready(file, POLLOUT)) return {IoStatus::kWouldBlock, 0, 0};
    // pipe(7): a pipe that polls writable takes PIPE_BUF bytes without blocking.
    in = in.first(std::min<std::size_t>(in.size(), PIPE_BUF));
  }
  return io_result(::write(file, in.data(), in.size()));
}

}  // namespace runhv::platform
