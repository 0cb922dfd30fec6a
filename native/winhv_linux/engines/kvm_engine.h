// The engine `kvm`: processors of the host, by Linux' KVM.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "winhv_linux/engine.h"

namespace runhv::winhv_linux {

// Errors: why there is no KVM that serves.
Result<std::unique_ptr<Engine>> open_kvm_engine(const std::string& path);

// Runs a guest of some 40,000 instructions to its end. A KVM that only emulates takes tens of
// milliseconds of this thread's time for it, hardware some ten microseconds; one of three attempts
// must do with 1 ms.
// The result: what it took, in nanoseconds. Errors: kTimedOut, and why it did not end.
Result<std::uint64_t> probe_engine(const Engine& engine);

}  // namespace runhv::winhv_linux
