// RUNHV_CHECK: an invariant of ours. When it breaks we are wrong, not the guest and not the host:
// the process says where and ends with status 70 (EX_SOFTWARE). One process is one VM.
#pragma once

namespace runhv {
[[noreturn]] void check_failed(const char* expression, const char* file, int line);
}

#define RUNHV_CHECK(expr) ((expr) ? (void)0 : ::runhv::check_failed(#expr, __FILE__, __LINE__))
