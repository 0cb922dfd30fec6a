// Why a process could not be started: what FAILED carries.
#pragma once

#include <cstdint>
#include <string_view>

#include "text.h"

namespace runhv::agent {

struct Failure {
  bool failed = false;
  std::int32_t guest_errno = 0;
  std::uint32_t exit_status = 0;
  Text<512> text;

  // `result` is a system call's: a negative errno. Returns false, so that a step can return it.
  bool set(long result, std::string_view step, std::string_view object = {},
           std::string_view rest = {}, std::uint32_t status = 125) {
    failed = true;
    guest_errno = static_cast<std::int32_t>(-result);
    exit_status = status;
    text.clear();
    text.add(step).add(object).add(rest);
    return false;
  }
};

}  // namespace runhv::agent
