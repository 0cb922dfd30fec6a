// Result<T>: a value or an Error. A subset of std::expected, which GCC 12 has in C++23 mode only.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/error.h"

namespace runhv {

template <class E>
struct Fail {
  E error;
};
template <class E>
Fail(E) -> Fail<E>;

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Fail<Error> fail) : state_(std::in_place_index<1>, std::move(fail.error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  // REQUIRES: has_value().
  T& operator*() & { return *std::get_if<0>(&state_); }
  const T& operator*() const& { return *std::get_if<0>(&state_); }
  T&& operator*() && { return std::move(*std::get_if<0>(&state_)); }
  T* operator->() { return std::get_if<0>(&state_); }
  const T* operator->() const { return std::get_if<0>(&state_); }

  // REQUIRES: !has_value().
  const Error& error() const& { return *std::get_if<1>(&state_); }
  Error&& error() && { return std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Fail<Error> fail) : error_(std::move(fail.error)) {}

  bool has_value() const { return !error_.has_value(); }
  explicit operator bool() const { return has_value(); }

  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

// What the caller asked for cannot be.
inline Fail<Error> invalid_argument(std::string operation, std::string detail) {
  return Fail{Error{Code::kInvalidArgument, std::move(operation), std::move(detail)}};
}

}  // namespace runhv

#define RUNHV_CONCAT_INNER(a, b) a##b
#define RUNHV_CONCAT(a, b) RUNHV_CONCAT_INNER(a, b)

// Returns the error of `expr` from the enclosing function, if it has one.
#define RUNHV_TRY(expr)                                      \
  do {                                                       \
    if (auto runhv_result = (expr); !runhv_result)           \
      return ::runhv::Fail{std::move(runhv_result).error()}; \
  } while (false)

// `RUNHV_TRY_ASSIGN(const auto x, f());` binds the value of f() or returns its error.
#define RUNHV_TRY_ASSIGN(decl, expr) \
  RUNHV_TRY_ASSIGN_INNER(RUNHV_CONCAT(runhv_result_, __LINE__), decl, expr)
#define RUNHV_TRY_ASSIGN_INNER(result, decl, expr)              \
  auto result = (expr);                                         \
  if (!result) return ::runhv::Fail{std::move(result).error()}; \
  decl = std::move(*result)
