// A thread that waits in the kernel, and whom another thread can get out of there.
#pragma once

#include <memory>

namespace runhv::platform {

class Interruptible {
 public:
  Interruptible();
  ~Interruptible();
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

  // The calling thread is the one, until leave().
  void enter();
  void leave();

  // The system call that it is in ends with EINTR. One that it begins a moment later does not: who
  // interrupts has left a word before, and that call looks for it. Threads: any, at any time; with
  // nobody inside, nothing happens.
  void interrupt();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace runhv::platform
