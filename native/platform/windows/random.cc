#include "platform/random.h"

#include <windows.h>

#include <bcrypt.h>

#include <algorithm>

#include "base/check.h"

namespace runhv::platform {

void fill_random(std::span<std::byte> out) {
  while (!out.empty()) {
    const auto size = static_cast<ULONG>(std::min<std::size_t>(out.size(), 1u << 20));
    RUNHV_CHECK(::BCryptGenRandom(nullptr, reinterpret_cast<PUCHAR>(out.data()), size,
                                  BCRYPT_USE_SYSTEM_PREFERRED_RNG) == 0);
    out = out.subspan(size);
  }
}

}  // namespace runhv::platform
