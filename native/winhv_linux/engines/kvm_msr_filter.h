// Which MSRs KVM keeps itself, and of which it asks us.
#pragma once

#include "platform/device_file.h"
#include "winhv_linux/engine.h"

namespace runhv::winhv_linux {

// Asks `answers` about the MSRs that it may leave to an engine. 0, or minus an error number.
long set_msr_filter(const platform::DeviceFile& vm, CpuAnswers& answers);

}  // namespace runhv::winhv_linux
