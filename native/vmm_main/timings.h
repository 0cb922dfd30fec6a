// The waterfall of one start, for people and for programs (docs/timings.md).
#pragma once

#include <string>

#include "api/conversions.h"
#include "runhv/runhv.h"

namespace runhv::vmm_main {

// "exited", "signaled", "not_started"; "failed" where the VM failed on its way.
const char* end_name(const api::AbiEnd& end);

// Several lines, each ended. `colour`: escape sequences and block characters, for a terminal.
std::string timings_table(const std::string& id, const runhv_statistics& statistics,
                          const api::AbiEnd& end, bool colour);

// One line, ended.
std::string timings_json(const std::string& id, const runhv_statistics& statistics,
                         const api::AbiEnd& end);

}  // namespace runhv::vmm_main
