#include "platform/windows/overlapped_pipe.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.h"
#include "platform/clock.h"
#include "platform/os_error.h"
#include "platform/windows/io_result.h"

namespace runhv::platform {
namespace {

constexpr std::size_t kMostBytes = 64 * 1024;  // of one call: it keeps a copy of them

}  // namespace

// One call of the system that may go on alone, and what it needs until it has ended.
struct OverlappedPipe::Call {
  static std::unique_ptr<Call> create() {
    auto call = std::make_unique<Call>();
    // Set, as after a call that has ended.
    call->event = own(::CreateEventW(nullptr, TRUE, TRUE, nullptr));
    return call->event.is_open() ? std::move(call) : nullptr;
  }

  void prepare() {
    overlapped = {};
    overlapped.hEvent = native(event);
  }
  // `begun`: what the call returned. Gives whether it is under way now.
  bool has_begun(BOOL begun) {
    failure = begun ? ERROR_SUCCESS : ::GetLastError();
    under_way = failure == ERROR_IO_PENDING;
    if (under_way) failure = ERROR_SUCCESS;
    // Whoever waits for it is to see that it has ended.
    if (!under_way) ::SetEvent(native(event));
    return under_way;
  }
  // Whether it has ended; `waits`: it does when this returns.
  bool has_ended(HANDLE of, bool waits) {
    if (!under_way) return true;
    DWORD count = 0;
    if (!::GetOverlappedResult(of, &overlapped, &count, waits ? TRUE : FALSE)) {
      if (::GetLastError() == ERROR_IO_INCOMPLETE) return false;
      failure = ::GetLastError();
    }
    under_way = false;
    return true;
  }

  UniqueHandle event;
  OVERLAPPED overlapped{};
  bool under_way = false;
  DWORD failure = ERROR_SUCCESS;  // of the last that has ended
  std::vector<std::byte> bytes{};
  UniqueHandle pipe{};  // of one that goes on alone
};

bool is_overlapped_pipe(OsHandle handle) {
  if (::GetFileType(native(handle)) != FILE_TYPE_PIPE) return false;
  // FILE_MODE_INFORMATION and FILE_SYNCHRONOUS_IO_… of the Windows Driver Kit.
  constexpr auto kModeInformation = static_cast<FILE_INFORMATION_CLASS>(16);
  constexpr ULONG kSynchronous = 0x10 | 0x20;
  ULONG mode = 0;
  IO_STATUS_BLOCK status{};
  return ::NtQueryInformationFile(native(handle), &status, &mode, sizeof mode, kModeInformation) ==
             0 &&
         (mode & kSynchronous) == 0;
}

OverlappedPipe::OverlappedPipe(UniqueHandle handle, std::unique_ptr<Call> look,
                               std::unique_ptr<Call> taking)
    : handle_(std::move(handle)), look_(std::move(look)), read_(std::move(taking)) {}

Result<std::unique_ptr<OverlappedPipe>> OverlappedPipe::create(UniqueHandle handle) {
  auto look = Call::create();
  auto taking = Call::create();
  auto giving = Call::create();
  if (look == nullptr || taking == nullptr || giving == nullptr) {
    return Fail{last_os_error("take over a pipe")};
  }
  std::unique_ptr<OverlappedPipe> pipe(
      new OverlappedPipe(std::move(handle), std::move(look), std::move(taking)));
  pipe->write_ = std::move(giving);
  return pipe;
}

OverlappedPipe::~OverlappedPipe() { end_calls(); }

IoResult OverlappedPipe::read(std::span<std::byte> out) {
  if (out.empty()) return {IoStatus::kWouldBlock, 0, 0};
  const std::lock_guard lock(mutex_);
  DWORD available = 0;
  if (!::PeekNamedPipe(native(handle_), nullptr, 0, nullptr, &available, nullptr)) {
    return failed_io(::GetLastError());
  }
  if (available == 0) return {IoStatus::kWouldBlock, 0, 0};
  read_->prepare();
  DWORD count = 0;
  const auto size = static_cast<DWORD>(std::min<std::size_t>(out.size(), available));
  // They are there, so it ends at once.
  if (read_->has_begun(
          ::ReadFile(native(handle_), out.data(), size, nullptr, &read_->overlapped))) {
    read_->has_ended(native(handle_), true);
  }
  if (read_->failure != ERROR_SUCCESS) return failed_io(read_->failure);
  count = static_cast<DWORD>(read_->overlapped.InternalHigh);
  return {IoStatus::kDone, count, 0};
}

IoResult OverlappedPipe::write(std::span<const std::byte> in) {
  if (in.empty()) return {IoStatus::kWouldBlock, 0, 0};
  const std::lock_guard lock(mutex_);
  if (!write_->has_ended(native(handle_), false)) return {IoStatus::kWouldBlock, 0, 0};
  if (write_->failure != ERROR_SUCCESS) return failed_io(write_->failure);
  in = in.first(std::min(in.size(), kMostBytes));
  write_->bytes.assign(in.begin(), in.end());
  write_->prepare();
  write_->has_begun(::WriteFile(native(handle_), write_->bytes.data(),
                                static_cast<DWORD>(in.size()), nullptr, &write_->overlapped));
  if (write_->failure != ERROR_SUCCESS) return failed_io(write_->failure);
  return {IoStatus::kDone, in.size(), 0};
}

IoResult OverlappedPipe::flush() {
  const std::lock_guard lock(mutex_);
  if (!write_->has_ended(native(handle_), false)) return {IoStatus::kWouldBlock, 0, 0};
  if (write_->failure != ERROR_SUCCESS) return failed_io(write_->failure);
  return {IoStatus::kDone, 0, 0};
}

Result<void> OverlappedPipe::bind(EventLoop& loop) {
  RUNHV_TRY(readable_.bind(loop, look_->event.get()));
  RUNHV_TRY(flushed_.bind(loop, write_->event.get()));
  return writable_.bind(loop, write_->event.get());
}

void OverlappedPipe::on_readable(Handler handler) {
  if (handler) {
    const std::lock_guard lock(mutex_);
    begin_to_look();
  }
  readable_.on_readable(std::move(handler));
}

void OverlappedPipe::begin_to_look() {
  if (!look_->has_ended(native(handle_), false)) return;
  look_->prepare();
  // One that fails has ended, too: read() tells why.
  look_->has_begun(
      ::ReadFile(native(handle_), look_->bytes.data(), 0, nullptr, &look_->overlapped));
}

void OverlappedPipe::on_writable(Handler handler) { writable_.on_writable(std::move(handler)); }

void OverlappedPipe::on_flushed(Handler handler) { flushed_.on_writable(std::move(handler)); }

bool OverlappedPipe::wait_for_room(std::uint64_t deadline_ns) const {
  const std::uint64_t now = monotonic_ns();
  if (now >= deadline_ns) return false;
  const std::uint64_t milliseconds = (deadline_ns - now + 999'999) / 1'000'000;
  return ::WaitForSingleObject(native(write_->event), static_cast<DWORD>(std::min<std::uint64_t>(
                                                          milliseconds, 60'000))) == WAIT_OBJECT_0;
}

UniqueHandle OverlappedPipe::release() {
  readable_ = Readiness();
  end_calls();
  return std::move(handle_);
}

void OverlappedPipe::end_calls() {
  // Before the event goes to somebody else.
  writable_ = Readiness();
  flushed_ = Readiness();
  if (!handle_.is_open()) return;
  if (look_->under_way) {
    ::CancelIoEx(native(handle_), &look_->overlapped);
    look_->has_ended(native(handle_), true);
  }
  if (write_->has_ended(native(handle_), false)) return;
  // The rest of it is the peer's: the thread pool waits until that has it.
  HANDLE copy = nullptr;
  ::DuplicateHandle(::GetCurrentProcess(), native(handle_), ::GetCurrentProcess(), &copy, 0, FALSE,
                    DUPLICATE_SAME_ACCESS);
  write_->pipe = own(copy);
  const auto let_go = [](PTP_CALLBACK_INSTANCE, void* context, PTP_WAIT wait, TP_WAIT_RESULT) {
    const std::unique_ptr<Call> call(static_cast<Call*>(context));
    ::CloseThreadpoolWait(wait);
  };
  Call* const call = write_.release();
  if (PTP_WAIT wait = ::CreateThreadpoolWait(let_go, call, nullptr); wait != nullptr) {
    ::SetThreadpoolWait(wait, native(call->event), nullptr);
    return;
  }
  // No room for that: it is lost.
  const std::unique_ptr<Call> lost(call);
  ::CancelIoEx(native(handle_), &lost->overlapped);
  lost->has_ended(native(handle_), true);
}

}  // namespace runhv::platform
