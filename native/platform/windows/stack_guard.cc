// What -fstack-protector and _FORTIFY_SOURCE call. The compiler's own, libssp, asks CryptoAPI for
// its secret, which loads the half of a desktop into each process: user32.dll and gdi32.dll, and
// under Wine all fonts.
#include <windows.h>

#include <ntsecapi.h>

#include <cstdint>
#include <cstdlib>

extern "C" {

std::uintptr_t __stack_chk_guard;

// Nothing more runs on a stack that somebody has written over.
[[noreturn]] void __stack_chk_fail() {
  constexpr unsigned kStackCookieCheckFailure = 2;  // FAST_FAIL_STACK_COOKIE_CHECK_FAILURE
  asm volatile("int $0x29" : : "c"(kStackCookieCheckFailure));
  __builtin_unreachable();
}

[[noreturn]] void __chk_fail() { __stack_chk_fail(); }

}  // extern "C"

namespace {

// Before every other constructor. Its own frame has no guard, which changes meanwhile.
[[gnu::constructor(101), gnu::no_stack_protector]] void choose_guard() {
  if (!::RtlGenRandom(&__stack_chk_guard, sizeof __stack_chk_guard)) std::abort();
  // No string that is copied too far gets past it.
  __stack_chk_guard &= ~std::uintptr_t{0xff};
}

}  // namespace
