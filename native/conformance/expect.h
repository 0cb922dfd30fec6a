// Checks of a case, which read as GoogleTest's do. EXPECT_…: the case goes on. ASSERT_…: the
// function returns. More words follow by <<.
#pragma once

#include <concepts>
#include <cstdint>
#include <ios>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>

#include "conformance/case.h"

namespace runhv::conformance {

// A check that failed: its words are told when the statement ends.
class Failure {
 public:
  Failure(const char* file, int line, const std::string& what) : file_(file), line_(line) {
    words_ << what << ' ';
  }
  Failure(const Failure&) = delete;
  Failure& operator=(const Failure&) = delete;
  ~Failure() { fail(file_, line_, words_.str()); }

  template <class T>
  Failure& operator<<(const T& more) {
    words_ << more;
    return *this;
  }
  Failure& operator<<(std::ios_base& (*manipulator)(std::ios_base&)) {
    words_ << manipulator;
    return *this;
  }

 private:
  const char* const file_;
  const int line_;
  std::ostringstream words_;
};

// Makes `return Returns() & Failure(…) << …` a statement of a function without a result.
struct Returns {
  void operator&(const Failure&) const {}
};

template <class T>
concept Number = std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char>;

// "0x5a": an HRESULT is read by its 32 bits.
std::string shown_number(unsigned long long value);

template <class T>
std::string shown(T value) {
  if constexpr (Number<T>) {
    return shown_number(static_cast<std::make_unsigned_t<T>>(value));
  } else if constexpr (std::is_enum_v<T>) {
    return shown_number(static_cast<unsigned long long>(value));
  } else if constexpr (std::is_pointer_v<T>) {
    return shown_number(reinterpret_cast<std::uintptr_t>(value));
  } else {
    static_assert(std::is_same_v<T, bool>);
    return value ? "true" : "false";
  }
}

// What a comparison found wrong; empty: nothing.
std::string fault_of(const char* words, const std::string& left, const std::string& right);

template <class L, class R>
std::string compare_equal(const char* words, bool wanted, L left, R right) {
  bool equal = false;
  if constexpr (Number<L> && Number<R>) {
    equal = std::cmp_equal(left, right);
  } else {
    equal = left == right;
  }
  return equal == wanted ? std::string() : fault_of(words, shown(left), shown(right));
}

template <Number L, Number R>
std::string compare_less(const char* words, bool wanted, L left, R right) {
  return std::cmp_less(left, right) == wanted ? std::string()
                                              : fault_of(words, shown(left), shown(right));
}

}  // namespace runhv::conformance

// Each operand is evaluated once. The switch keeps an else after an unbraced if its own.
#define RUNHV_COMPARED(comparison, otherwise)                                                    \
  switch (0)                                                                                     \
  case 0:                                                                                        \
  default:                                                                                       \
    if (const std::string runhv_fault = ::runhv::conformance::comparison; runhv_fault.empty()) { \
    } else                                                                                       \
      otherwise ::runhv::conformance::Failure(__FILE__, __LINE__, runhv_fault)
#define RUNHV_EQ(l, r, otherwise) RUNHV_COMPARED(compare_equal(#l " == " #r, true, l, r), otherwise)
#define RUNHV_NE(l, r, otherwise) \
  RUNHV_COMPARED(compare_equal(#l " != " #r, false, l, r), otherwise)
#define RUNHV_LT(l, r, otherwise) RUNHV_COMPARED(compare_less(#l " < " #r, true, l, r), otherwise)
#define RUNHV_GE(l, r, otherwise) RUNHV_COMPARED(compare_less(#l " >= " #r, false, l, r), otherwise)

#define RUNHV_RETURNS return ::runhv::conformance::Returns()&
#define EXPECT_EQ(l, r) RUNHV_EQ(l, r, )
#define ASSERT_EQ(l, r) RUNHV_EQ(l, r, RUNHV_RETURNS)
#define EXPECT_NE(l, r) RUNHV_NE(l, r, )
#define EXPECT_LT(l, r) RUNHV_LT(l, r, )
#define EXPECT_GT(l, r) RUNHV_LT(r, l, )
#define EXPECT_GE(l, r) RUNHV_GE(l, r, )
#define ASSERT_GE(l, r) RUNHV_GE(l, r, RUNHV_RETURNS)
#define EXPECT_LE(l, r) RUNHV_GE(r, l, )
#define ASSERT_LE(l, r) RUNHV_GE(r, l, RUNHV_RETURNS)
#define EXPECT_TRUE(condition) RUNHV_EQ(bool(condition), true, )
#define ASSERT_TRUE(condition) RUNHV_EQ(bool(condition), true, RUNHV_RETURNS)
