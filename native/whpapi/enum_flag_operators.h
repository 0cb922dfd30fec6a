// As Microsoft's <winnt.h> has it: usable in constants. mingw-w64 10 has the same operators without
// constexpr. Included by whp.h and windows_base.h, before the enums of WHP.
#pragma once

#include <cstdint>

#undef DEFINE_ENUM_FLAG_OPERATORS
#define DEFINE_ENUM_FLAG_OPERATORS(T)                                                \
  constexpr T operator|(T a, T b) { return T(std::uint32_t(a) | std::uint32_t(b)); } \
  constexpr T operator&(T a, T b) { return T(std::uint32_t(a) & std::uint32_t(b)); } \
  constexpr T operator~(T a) { return T(~std::uint32_t(a)); }                        \
  constexpr T& operator|=(T& a, T b) { return a = a | b; }
