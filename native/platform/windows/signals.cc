#include "platform/signals.h"

#include <algorithm>
#include <deque>
#include <mutex>

#include "platform/event.h"
#include "platform/readiness.h"
#include "platform/windows/console_signals.h"
#include "platform/windows/system.h"

namespace runhv::platform {
namespace {

// Linux's numbers.
constexpr int kInterrupt = 2;   // SIGINT
constexpr int kTerminate = 15;  // SIGTERM

// What the console has told, by a thread of the system's own.
struct Told {
  std::mutex mutex;
  std::deque<int> signals;
  Event* event = nullptr;  // the queue's; null: there is none
};

Told& told() {
  // Never destroyed: the console may tell until the last moment.
  static Told& one = *new Told;
  return one;
}

BOOL WINAPI take(DWORD what) {
  Told& all = told();
  {
    const std::lock_guard lock(all.mutex);
    if (all.event == nullptr) return FALSE;
    all.signals.push_back(what == CTRL_C_EVENT ? kInterrupt : kTerminate);
    all.event->set();
  }
  if (what == CTRL_C_EVENT || what == CTRL_BREAK_EVENT) return TRUE;
  // A window that closes, a user who leaves: the system ends this process when we return, and
  // otherwise after some seconds, which the container has for its end.
  ::Sleep(INFINITE);
  return TRUE;
}

class ConsoleEvents final : public SignalQueue {
 public:
  explicit ConsoleEvents(Event event) : event_(std::move(event)) {
    const std::lock_guard lock(told().mutex);
    told().event = &event_;
  }
  ~ConsoleEvents() override {
    ::SetConsoleCtrlHandler(take, FALSE);
    const std::lock_guard lock(told().mutex);
    told().event = nullptr;
    told().signals.clear();
  }

  OsHandle handle() const override { return event_.handle(); }

  std::optional<int> next() override {
    Told& all = told();
    const std::lock_guard lock(all.mutex);
    if (all.signals.empty()) {
      event_.clear();
      return std::nullopt;
    }
    const int signal = all.signals.front();
    all.signals.pop_front();
    return signal;
  }

  Result<void> bind(EventLoop& loop) override {
    readiness_ = Readiness();
    return readiness_.bind(loop, event_.handle());
  }
  void on_signal(Handler handler) override { readiness_.on_readable(std::move(handler)); }

 private:
  Event event_;
  Readiness readiness_;
};

}  // namespace

Result<std::unique_ptr<SignalQueue>> SignalQueue::create() {
  RUNHV_TRY_ASSIGN(Event event, Event::create());
  auto queue = std::make_unique<ConsoleEvents>(std::move(event));
  // Without a console nobody tells anything, and that is no error.
  ::SetConsoleCtrlHandler(take, TRUE);
  return std::unique_ptr<SignalQueue>(std::move(queue));
}

Result<std::unique_ptr<SignalQueue>> SignalQueue::create_for_all() { return create(); }

void tell_signal(int signal) {
  Told& all = told();
  const std::lock_guard lock(all.mutex);
  if (all.event == nullptr || std::ranges::find(all.signals, signal) != all.signals.end()) return;
  all.signals.push_back(signal);
  all.event->set();
}

std::optional<int> next_that_ends(SignalQueue& signals) {
  while (const auto signal = signals.next()) {
    if (*signal != kWindowChanged) return signal;
  }
  return std::nullopt;
}

// There are no signals to end by: the status is what a shell writes for one.
void end_by_signal(int signal) { ::ExitProcess(static_cast<UINT>(128 + signal)); }

}  // namespace runhv::platform
