#include "platform/stream.h"

#include <memory>
#include <string>

#include "base/check.h"
#include "platform/blocking_io.h"
#include "platform/file_stream.h"
#include "platform/os_error.h"
#include "platform/windows/overlapped_pipe.h"
#include "platform/windows/system.h"

namespace runhv::platform {

struct Stream::State {
  // Everything that is not overlapped is read and written by a thread of its own: a pipe and a
  // console from the first call on, a file once it is bound.
  Result<FileStream*> threaded() {
    if (file != nullptr) return file.get();
    RUNHV_TRY_ASSIGN(file, FileStream::create(std::move(handle)));
    return file.get();
  }
  bool is_at_once() const { return is_disk && file == nullptr; }

  UniqueHandle handle;  // file's or pipe's where there is one
  bool is_disk = false;
  bool is_console = false;
  std::unique_ptr<FileStream> file{};
  std::unique_ptr<OverlappedPipe> pipe{};
};

Stream::Stream(std::unique_ptr<State> state) : state_(std::move(state)) {}
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&& other) noexcept = default;
Stream::~Stream() = default;

OsHandle Stream::handle() const {
  return state_->pipe != nullptr ? state_->pipe->handle() : state_->handle.get();
}

// Handles have no numbers here by which a caller could mean more than the standard streams.
Result<bool> is_for_reading(OsHandle handle) {
  return Fail{Error{Code::kUnsupported, "use descriptor " + std::to_string(handle),
                    "on Windows a process is given no handles by their numbers"}};
}

Result<Stream> Stream::adopt(OsHandle handle, bool for_reading) {
  HANDLE copy = nullptr;
  if (!::DuplicateHandle(::GetCurrentProcess(), native(handle), ::GetCurrentProcess(), &copy, 0,
                         FALSE, DUPLICATE_SAME_ACCESS)) {
    return Fail{last_os_error("take over a stream")};
  }
  return adopt_owned(own(copy), for_reading);
}

Result<Stream> Stream::adopt_owned(UniqueHandle handle, bool /*for_reading*/) {
  auto state = std::make_unique<State>();
  DWORD mode = 0;
  switch (::GetFileType(native(handle))) {
    case FILE_TYPE_DISK:
      state->is_disk = true;
      break;
    case FILE_TYPE_CHAR:
      state->is_console = ::GetConsoleMode(native(handle), &mode) != 0;
      break;
    case FILE_TYPE_PIPE:
      if (is_overlapped_pipe(handle.get())) {
        RUNHV_TRY_ASSIGN(state->pipe, OverlappedPipe::create(std::move(handle)));
      }
      break;
    default:
      if (::GetLastError() != NO_ERROR) return Fail{last_os_error("take over a stream")};
      break;
  }
  state->handle = std::move(handle);
  return Stream(std::move(state));
}

bool Stream::ends_both_ways() const { return state_->is_console || state_->pipe != nullptr; }

Result<void> Stream::bind(EventLoop& loop) {
  if (state_->pipe != nullptr) return state_->pipe->bind(loop);
  RUNHV_TRY_ASSIGN(FileStream* const file, state_->threaded());
  file->bind(loop);
  return {};
}

void Stream::on_readable(Handler handler) {
  if (state_->pipe != nullptr) return state_->pipe->on_readable(std::move(handler));
  RUNHV_CHECK(state_->file != nullptr);
  state_->file->on_readable(std::move(handler));
}

void Stream::on_writable(Handler handler) {
  if (state_->pipe != nullptr) return state_->pipe->on_writable(std::move(handler));
  RUNHV_CHECK(state_->file != nullptr);
  state_->file->on_writable(std::move(handler));
}

void Stream::on_flushed(Handler handler) {
  if (state_->pipe != nullptr) return state_->pipe->on_flushed(std::move(handler));
  // Nothing else is ever pending.
  RUNHV_CHECK(state_->file != nullptr);
  state_->file->on_flushed(std::move(handler));
}

IoResult Stream::flush() {
  if (state_->pipe != nullptr) return state_->pipe->flush();
  if (state_->file != nullptr) return state_->file->flush();
  return {IoStatus::kDone, 0, 0};
}

Result<void> Stream::close(std::uint64_t deadline_ns) {
  Result<void> result;
  if (state_->file != nullptr) result = state_->file->close(deadline_ns);
  state_ = std::make_unique<State>();
  state_->is_disk = true;  // of no file: every call of it fails
  return result;
}

bool Stream::wait_for_room(std::uint64_t deadline_ns) const {
  if (state_->pipe != nullptr) return state_->pipe->wait_for_room(deadline_ns);
  return state_->file == nullptr || state_->file->wait_for_room(deadline_ns);
}

void Stream::wait_until_flushed(std::uint64_t deadline_ns) const {
  if (state_->pipe != nullptr) state_->pipe->wait_for_room(deadline_ns);
  if (state_->file != nullptr) state_->file->wait_until_flushed(deadline_ns);
}

IoResult Stream::read(std::span<std::byte> out) {
  if (out.empty()) return {IoStatus::kWouldBlock, 0, 0};
  if (state_->pipe != nullptr) return state_->pipe->read(out);
  if (state_->is_at_once()) return read_waiting(state_->handle.get(), out);
  const auto file = state_->threaded();
  if (!file) return {IoStatus::kFailed, 0, static_cast<int>(file.error().os_code)};
  return (*file)->read(out);
}

IoResult Stream::write(std::span<const std::byte> in) {
  if (in.empty()) return {IoStatus::kWouldBlock, 0, 0};
  if (state_->pipe != nullptr) return state_->pipe->write(in);
  if (state_->is_at_once()) return write_waiting(state_->handle.get(), in);
  const auto file = state_->threaded();
  if (!file) return {IoStatus::kFailed, 0, static_cast<int>(file.error().os_code)};
  return (*file)->write(in);
}

}  // namespace runhv::platform
