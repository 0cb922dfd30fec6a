// The structures of runhv.h and control.h as they cross a boundary: their sizes, texts and errors.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "base/error.h"
#include "runhv/runhv.h"

namespace runhv::api {

static_assert(static_cast<int>(Code::kHostFailed) == RUNHV_HOST_FAILED);
static_assert(static_cast<int>(Domain::kGuestErrno) == RUNHV_DOMAIN_GUEST_ERRNO);

// All zeros but its size.
template <class T>
T sized() {
  T value{};
  value.struct_size = sizeof value;
  return value;
}

// Copies as much of `text` as fits, cut between characters of UTF-8, and a NUL.
template <std::size_t N>
void copy_text(char (&out)[N], std::string_view text) {
  std::size_t size = std::min(text.size(), N - 1);
  if (size < text.size()) {
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  }
  std::memcpy(out, text.data(), size);
  out[size] = '\0';
}

// Text that another wrote: it may lack its NUL.
template <std::size_t N>
std::string_view text_of(const char (&in)[N]) {
  return {in, strnlen(in, N)};
}

// Fills what the reader's version of the structure has room for; its struct_size stays.
template <class T>
void fill(T* out, const T& value) {
  const std::size_t size = std::min<std::size_t>(out->struct_size, sizeof(T));
  constexpr std::size_t kHead = sizeof(out->struct_size);
  if (size > kHead) {
    std::memcpy(reinterpret_cast<char*>(out) + kHead, reinterpret_cast<const char*>(&value) + kHead,
                size - kHead);
  }
}

inline runhv_error to_abi(const Error& error) {
  auto value = sized<runhv_error>();
  value.code = static_cast<std::int32_t>(error.code);
  value.domain = static_cast<std::int32_t>(error.domain);
  value.os_code = error.os_code;
  copy_text(value.operation, error.operation);
  copy_text(value.detail, error.detail);
  return value;
}

// A number that this version does not know stays as it is: code_name() says "unknown".
inline Error from_abi(const runhv_error& error) {
  return {static_cast<Code>(error.code), std::string(text_of(error.operation)),
          std::string(text_of(error.detail)), static_cast<Domain>(error.domain), error.os_code};
}

}  // namespace runhv::api
