#include "platform/thread.h"

#include <pthread.h>

#include <cstdio>

#include "platform/linux/forwarded_signals.h"

namespace runhv {

void set_thread_name(const char* name) {
  char kept[16];
  std::snprintf(kept, sizeof kept, "%s", name);
  ::pthread_setname_np(::pthread_self(), kept);
}

void block_forwarded_signals() {
  const sigset_t set = forwarded_signal_set();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace runhv
