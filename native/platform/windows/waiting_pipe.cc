#include "platform/windows/waiting_pipe.h"

#include <algorithm>
#include <array>
#include <utility>

#include "platform/os_error.h"
#include "platform/windows/io_result.h"
#include "platform/windows/overlapped_pipe.h"

namespace runhv::platform {
namespace {

constexpr const char* kTakeOver = "take over a pipe";
constexpr std::size_t kMostOfOneCall = 64 * 1024;

}  // namespace

Result<std::unique_ptr<WaitingPipe>> WaitingPipe::adopt(OsHandle handle) {
  HANDLE copy = nullptr;
  if (!::DuplicateHandle(::GetCurrentProcess(), native(handle), ::GetCurrentProcess(), &copy, 0,
                         FALSE, DUPLICATE_SAME_ACCESS)) {
    return Fail{last_os_error(kTakeOver)};
  }
  return adopt_owned(own(copy));
}

Result<std::unique_ptr<WaitingPipe>> WaitingPipe::adopt_owned(UniqueHandle handle) {
  if (!is_overlapped_pipe(handle.get())) {
    return Fail{Error{Code::kInvalidArgument, kTakeOver,
                      "it is no named pipe that was opened for overlapped I/O"}};
  }
  UniqueHandle closed = own(::CreateEventW(nullptr, TRUE, FALSE, nullptr));
  if (!closed.is_open()) return Fail{last_os_error(kTakeOver)};
  return std::unique_ptr<WaitingPipe>(new WaitingPipe(std::move(handle), std::move(closed)));
}

// `begin` begins a call of the system that may go on alone.
template <class Begin>
IoResult WaitingPipe::wait_for(const Begin& begin) {
  if (::WaitForSingleObject(native(closed_), 0) == WAIT_OBJECT_0) return {IoStatus::kEnd, 0, 0};
  const UniqueHandle ended = own(::CreateEventW(nullptr, TRUE, FALSE, nullptr));
  if (!ended.is_open()) return failed_io(::GetLastError());
  OVERLAPPED call{};
  call.hEvent = native(ended);
  DWORD count = 0;
  if (!begin(&call)) {
    if (::GetLastError() != ERROR_IO_PENDING) return failed_io(::GetLastError());
    const std::array<HANDLE, 2> either{call.hEvent, native(closed_)};
    if (::WaitForMultipleObjects(either.size(), either.data(), FALSE, INFINITE) != WAIT_OBJECT_0) {
      ::CancelIoEx(native(handle_), &call);
    }
  }
  if (!::GetOverlappedResult(native(handle_), &call, &count, TRUE)) {
    const DWORD code = ::GetLastError();
    return code == ERROR_OPERATION_ABORTED ? IoResult{IoStatus::kEnd, 0, 0} : failed_io(code);
  }
  return {IoStatus::kDone, count, 0};
}

IoResult WaitingPipe::read(std::span<std::byte> out) {
  if (out.empty()) return {IoStatus::kWouldBlock, 0, 0};
  const auto size = static_cast<DWORD>(std::min(out.size(), kMostOfOneCall));
  while (true) {
    const IoResult result = wait_for([&](OVERLAPPED* call) {
      return ::ReadFile(native(handle_), out.data(), size, nullptr, call) != 0;
    });
    // Somebody has written nothing: that is not the end.
    if (result.status != IoStatus::kDone || result.bytes > 0) return result;
  }
}

IoResult WaitingPipe::write(std::span<const std::byte> in) {
  std::size_t written = 0;
  while (written != in.size()) {
    const auto part = in.subspan(written, std::min(in.size() - written, kMostOfOneCall));
    const IoResult result = wait_for([&](OVERLAPPED* call) {
      return ::WriteFile(native(handle_), part.data(), static_cast<DWORD>(part.size()), nullptr,
                         call) != 0;
    });
    if (result.status != IoStatus::kDone) return result;
    written += result.bytes;
  }
  return {IoStatus::kDone, written, 0};
}

void WaitingPipe::close() { ::SetEvent(native(closed_)); }

}  // namespace runhv::platform
