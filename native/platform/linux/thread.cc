#include "platform/thread.h"

#include <pthread.h>

#include <cerrno>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <string>
#include <utility>

#include "base/check.h"
#include "platform/deadline.h"
#include "platform/linux/forwarded_signals.h"
#include "platform/os_error.h"

namespace runhv::platform {
namespace {

// pthread_join with a deadline on the monotonic clock is newer than the C libraries that we serve.
class End {
 public:
  void set() {
    const std::lock_guard lock(mutex_);
    set_ = true;
    changed_.notify_all();
  }
  bool wait_until(std::uint64_t deadline_ns) {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, steady_deadline(deadline_ns), [&] { return set_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
};

constexpr std::size_t kMostNameBytes = 15;  // pthread_setname_np(3)

struct Start {
  std::string name;
  std::function<void()> work;
  std::shared_ptr<End> end;
};

void* run(void* argument) {
  const std::unique_ptr<Start> start(static_cast<Start*>(argument));
  ::pthread_setname_np(::pthread_self(), start->name.substr(0, kMostNameBytes).c_str());
  start->work();
  start->work = nullptr;  // what it owns ends here, before anybody is told
  start->end->set();
  return nullptr;
}

}  // namespace

struct Thread::State {
  pthread_t thread;
  std::shared_ptr<End> end;  // also the thread's, which may outlive its owner
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
  state->end = std::make_shared<End>();
  auto start = std::make_unique<Start>(Start{name, std::move(work), state->end});

  // A new thread inherits the mask, so there is no moment in which it could take a signal.
  sigset_t blocked = forwarded_signal_set();
  sigaddset(&blocked, SIGPIPE);
  sigaddset(&blocked, SIGXFSZ);
  sigset_t before;
  RUNHV_CHECK(::pthread_sigmask(SIG_BLOCK, &blocked, &before) == 0);
  const int refused = ::pthread_create(&state->thread, nullptr, run, start.get());
  RUNHV_CHECK(::pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
  if (refused != 0) {
    Error error = os_error("start thread " + start->name, refused);
    // pthread_create(3): also where the memory for its stack is refused.
    if (refused == EAGAIN) {
      error.code = Code::kOutOfMemory;
      error.detail =
          "this host allows no more threads or memory; look at ulimit -u, ulimit -v and the "
          "cgroup's pids.max";
    }
    return Fail{std::move(error)};
  }
  [[maybe_unused]] const Start* owned_by_the_thread = start.release();
  return Thread(std::move(state));
}

void Thread::join() {
  RUNHV_CHECK(state_ != nullptr);
  RUNHV_CHECK(::pthread_join(state_->thread, nullptr) == 0);
  state_.reset();
}

bool Thread::join_until(std::uint64_t deadline_ns) {
  RUNHV_CHECK(state_ != nullptr);
  if (!state_->end->wait_until(deadline_ns)) return false;
  join();
  return true;
}

void Thread::abandon() {
  RUNHV_CHECK(state_ != nullptr);
  RUNHV_CHECK(::pthread_detach(state_->thread) == 0);
  state_.reset();
}

}  // namespace runhv::platform
