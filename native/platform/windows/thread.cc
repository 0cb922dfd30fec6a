#include "platform/thread.h"

#include <windows.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "platform/clock.h"
#include "platform/handle.h"
#include "platform/os_error.h"
#include "platform/windows/utf16.h"

// Of Windows 10 1607; mingw-w64 10 has it in its library and not in its headers.
extern "C" WINBASEAPI HRESULT WINAPI SetThreadDescription(HANDLE thread, PCWSTR description);

namespace runhv::platform {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;

struct Start {
  std::string name;
  std::function<void()> work;
};

DWORD WINAPI run(void* argument) {
  const std::unique_ptr<Start> start(static_cast<Start*>(argument));
  ::SetThreadDescription(::GetCurrentThread(), to_utf16(start->name).c_str());
  start->work();
  return 0;
}

}  // namespace

struct Thread::State {
  UniqueHandle thread;
};

Thread::Thread(std::unique_ptr<State> state) : state_(std::move(state)) {}
Thread::Thread(Thread&&) noexcept = default;

Thread& Thread::operator=(Thread&& other) noexcept {
  RUNHV_CHECK(state_ == nullptr);
  state_ = std::move(other.state_);
  return *this;
}

Thread::~Thread() { RUNHV_CHECK(state_ == nullptr); }

Result<Thread> Thread::start(const char* name, std::function<void()> work) {
  auto state = std::make_unique<State>();
  auto start = std::make_unique<Start>(Start{name, std::move(work)});
  const HANDLE thread = ::CreateThread(nullptr, 0, run, start.get(), 0, nullptr);
  if (thread == nullptr) {
    Error error = last_os_error("start thread " + start->name);
    if (error.code == Code::kOutOfMemory) {
      error.detail = "this host allows no more threads or memory; look at the job's limits";
    }
    return Fail{std::move(error)};
  }
  [[maybe_unused]] const Start* owned_by_the_thread = start.release();
  state->thread.reset(reinterpret_cast<OsHandle>(thread));
  return Thread(std::move(state));
}

void Thread::join() { RUNHV_CHECK(join_until(UINT64_MAX)); }

bool Thread::join_until(std::uint64_t deadline_ns) {
  RUNHV_CHECK(state_ != nullptr);
  const auto thread = reinterpret_cast<HANDLE>(state_->thread.get());
  for (;;) {
    const std::uint64_t now = monotonic_ns();
    const std::uint64_t left_ns = deadline_ns > now ? deadline_ns - now : 0;
    const std::uint64_t left_ms = left_ns / kNsPerMs + (left_ns % kNsPerMs != 0 ? 1 : 0);
    const DWORD result = ::WaitForSingleObject(
        thread, static_cast<DWORD>(std::min<std::uint64_t>(left_ms, INFINITE - 1)));
    if (result == WAIT_OBJECT_0) break;
    RUNHV_CHECK(result == WAIT_TIMEOUT);
    if (left_ns == 0) return false;
  }
  state_.reset();
  return true;
}

void Thread::abandon() {
  RUNHV_CHECK(state_ != nullptr);
  state_.reset();
}

}  // namespace runhv::platform
