// What the numbers mean that WHP's functions return.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"

namespace runhv::hv {

// The Error for a WHP call that failed with `hresult`: the code and the words from one table, the
// raw number kept. Hypervisor and VID statuses come through as 0xC035xxxx and 0xC037xxxx.
Error hresult_error(std::string operation, std::int32_t hresult);

}  // namespace runhv::hv
