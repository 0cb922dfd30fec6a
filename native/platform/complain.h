// What runhv and runhv-vmm tell people: lines on stderr.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"

namespace runhv::platform {

inline constexpr int kOurFailure = 125;  // as docker: neither the container's, nor 126 or 127
// Who does not read stderr must not keep us from ending.
inline constexpr std::uint64_t kStderrPatienceNs = 500'000'000;

// One line, "runhv: …", its control characters escaped. Gives kOurFailure.
int complain(const std::string& text);
int complain(const Error& error);

}  // namespace runhv::platform
