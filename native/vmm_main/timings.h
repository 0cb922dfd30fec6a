// The waterfall of one start, for people and for programs (docs/timings.md).
#pragma once

#include <string>

#include "runhv/runhv.h"

namespace runhv {

// Several lines, each ended. `colour`: escape sequences and block characters, for a terminal.
std::string timings_table(const std::string& id, const runhv_statistics& statistics,
                          int exit_status, bool colour);

// One line, ended.
std::string timings_json(const std::string& id, const runhv_statistics& statistics,
                         int exit_status);

}  // namespace runhv
