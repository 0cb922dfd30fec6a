// What a console tells besides its control events.
#pragma once

namespace runhv::platform {

inline constexpr int kWindowChanged = 28;  // Linux: SIGWINCH

// Into the SignalQueue, where there is one. What it has already is told once. Threads: any.
void tell_signal(int signal);

}  // namespace runhv::platform
