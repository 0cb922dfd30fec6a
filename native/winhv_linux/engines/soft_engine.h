// The engine `soft`: processors in software, behind softcpu.h.
#pragma once

#include <memory>

#include "base/result.h"
#include "winhv_linux/engine.h"

namespace runhv::winhv_linux {

// The engine of this process: its library is opened at the first call and never closed.
// Threads: any.
const Result<std::unique_ptr<Engine>>& soft_engine();

}  // namespace runhv::winhv_linux
