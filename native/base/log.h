// Diagnostics for people who debug runhv: off unless --debug. Never a substitute for an Error.
#pragma once

#include <string_view>

namespace runhv {

// Where the lines go, each with its end; null: nowhere. Must not block. Threads: any.
using DebugSink = void (*)(std::string_view line);
void set_debug_log(DebugSink sink);

// One line, "runhv: debug: area: text". printf format. Threads: any.
[[gnu::format(printf, 2, 3)]] void debug_log(const char* area, const char* format, ...);

}  // namespace runhv
