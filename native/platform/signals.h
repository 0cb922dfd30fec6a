// Requests that the operating system makes of the process, as Linux signal numbers.
#pragma once

#include <memory>
#include <optional>

#include "base/result.h"
#include "platform/event_loop.h"
#include "platform/handle.h"

namespace runhv::platform {

// Collects the signals that a container's process is meant to see: SIGHUP, SIGINT, SIGQUIT,
// SIGUSR1, SIGUSR2, SIGTERM, SIGWINCH, SIGCONT. (On Windows: console control events, as SIGINT and
// SIGTERM, and the size of a console that is read raw, as SIGWINCH.) At most one per process, made
// by the main thread before any other thread exists.
class SignalQueue {
 public:
  static Result<std::unique_ptr<SignalQueue>> create();
  // Every signal that another process can send and that can be collected, but SIGCHLD and SIGPIPE:
  // for one that stands for another.
  static Result<std::unique_ptr<SignalQueue>> create_for_all();
  virtual ~SignalQueue() = default;

  // Readable (poll(2)) when next() has something.
  virtual OsHandle handle() const = 0;
  // Empty: there is no further one for now.
  virtual std::optional<int> next() = 0;

  // A source (platform/event_loop.h): the handler takes signals by next() until there is none. In
  // place of an earlier loop, which hears of none any more.
  virtual Result<void> bind(EventLoop& loop) = 0;
  virtual void on_signal(Handler handler) = 0;
};

// The next signal in the queue that would have ended this process.
std::optional<int> next_that_ends(SignalQueue& signals);

// Ends this process as that signal does where nobody minds it.
[[noreturn]] void end_by_signal(int signal);

}  // namespace runhv::platform
