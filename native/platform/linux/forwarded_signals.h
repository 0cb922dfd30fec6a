#pragma once

#include <csignal>

namespace runhv::platform {

inline constexpr int kForwardedSignals[] = {SIGHUP,  SIGINT,  SIGQUIT,  SIGUSR1,
                                            SIGUSR2, SIGTERM, SIGWINCH, SIGCONT};

inline sigset_t forwarded_signal_set() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kForwardedSignals) sigaddset(&set, signal);
  return set;
}

}  // namespace runhv::platform
