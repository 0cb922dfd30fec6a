// WHvGetCapability: what this implementation has.
#pragma once

#include "whpapi/whp.h"

namespace runhv::winhv {

HRESULT get_capability(WHV_CAPABILITY_CODE code, void* buffer, UINT32 size, UINT32* written);

}  // namespace runhv::winhv
