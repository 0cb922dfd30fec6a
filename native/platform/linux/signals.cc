#include "platform/signals.h"

#include <csignal>

#include <sys/signalfd.h>
#include <unistd.h>

#include "platform/linux/forwarded_signals.h"
#include "platform/os_error.h"
#include "platform/readiness.h"

namespace runhv::platform {
namespace {

class SignalFd final : public SignalQueue {
 public:
  explicit SignalFd(UniqueHandle handle) : handle_(std::move(handle)) {}

  OsHandle handle() const override { return handle_.get(); }

  std::optional<int> next() override {
    signalfd_siginfo info{};
    const ssize_t size = ::read(static_cast<int>(handle_.get()), &info, sizeof info);
    if (size != static_cast<ssize_t>(sizeof info)) return std::nullopt;
    return static_cast<int>(info.ssi_signo);
  }

  Result<void> bind(EventLoop& loop) override {
    readiness_ = Readiness();
    return readiness_.bind(loop, handle_.get());
  }
  void on_signal(Handler handler) override { readiness_.on_readable(std::move(handler)); }

 private:
  UniqueHandle handle_;
  Readiness readiness_;
};

Result<std::unique_ptr<SignalQueue>> collect(const sigset_t& set) {
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  // A reader that has gone is an answer of write(2), not a reason to end.
  std::signal(SIGPIPE, SIG_IGN);
  // So is a file that the user's limit allows no larger (EFBIG).
  std::signal(SIGXFSZ, SIG_IGN);
  const int file = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (file < 0) return Fail{last_os_error("collect signals")};
  return std::unique_ptr<SignalQueue>(std::make_unique<SignalFd>(UniqueHandle(file)));
}

}  // namespace

Result<std::unique_ptr<SignalQueue>> SignalQueue::create() {
  return collect(forwarded_signal_set());
}

Result<std::unique_ptr<SignalQueue>> SignalQueue::create_for_all() {
  sigset_t set;
  sigfillset(&set);
  // signal(7): what a fault of our own raises cannot wait.
  for (const int own : {SIGCHLD, SIGPIPE, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS}) {
    sigdelset(&set, own);
  }
  return collect(set);
}

std::optional<int> next_that_ends(SignalQueue& signals) {
  while (const auto signal = signals.next()) {
    if (*signal == SIGWINCH || *signal == SIGCONT) continue;
    struct sigaction action {};
    if (::sigaction(*signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) continue;
    return signal;
  }
  return std::nullopt;
}

void end_by_signal(int signal) {
  std::signal(signal, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  std::raise(signal);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  ::_exit(128 + signal);
}

}  // namespace runhv::platform
