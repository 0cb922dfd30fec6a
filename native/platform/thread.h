#pragma once

namespace runhv {

// Names the calling thread for debuggers; at most 15 characters are kept.
void set_thread_name(const char* name);

// Blocks the signals that a process forwards (platform/signals.h) in the calling thread. Every
// thread that runhv makes calls it first, so that only the poller's thread sees them.
void block_forwarded_signals();

}  // namespace runhv
