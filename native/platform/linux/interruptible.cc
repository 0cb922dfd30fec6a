#include "platform/interruptible.h"

#include <pthread.h>

#include <csignal>
#include <mutex>
#include <optional>

#include "base/check.h"

namespace runhv::platform {
namespace {

// A signal of no other meaning: C libraries keep the first ones, programs take them from below.
int signal_number() { return SIGRTMAX - 3; }

// To be told is all: without SA_RESTART the call ends.
void ignore(int) {}

void make_it_interrupt() {
  static const bool installed = [] {
    struct sigaction action {};
    action.sa_handler = ignore;
    sigemptyset(&action.sa_mask);
    return ::sigaction(signal_number(), &action, nullptr) == 0;
  }();
  RUNHV_CHECK(installed);
  // Whoever made this thread may have blocked it.
  thread_local bool unblocked = false;
  if (unblocked) return;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal_number());
  RUNHV_CHECK(::pthread_sigmask(SIG_UNBLOCK, &set, nullptr) == 0);
  unblocked = true;
}

}  // namespace

struct Interruptible::State {
  std::mutex mutex;
  std::optional<pthread_t> inside;  // guarded by mutex: a thread that has left may have ended
};

Interruptible::Interruptible() : state_(std::make_unique<State>()) {}
Interruptible::~Interruptible() = default;

void Interruptible::enter() {
  make_it_interrupt();
  const std::lock_guard lock(state_->mutex);
  state_->inside = ::pthread_self();
}

void Interruptible::leave() {
  const std::lock_guard lock(state_->mutex);
  state_->inside.reset();
}

void Interruptible::interrupt() {
  const std::lock_guard lock(state_->mutex);
  if (state_->inside) ::pthread_kill(*state_->inside, signal_number());
}

}  // namespace runhv::platform
