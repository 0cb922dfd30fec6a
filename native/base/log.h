// Diagnostics for people who debug runhv: off unless --debug. Never a substitute for an Error.
#pragma once

#include <string_view>

namespace runhv {

void set_debug_log(bool enabled);

// One line on stderr, "runhv: debug: area: text". printf format. Threads: any.
[[gnu::format(printf, 2, 3)]] void debug_log(const char* area, const char* format, ...);

}  // namespace runhv
