// The waterfall of one start, for people and for programs (docs/timings.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "runhv/runhv.h"

namespace runhv {

// How the container ended, and what this process returns for it.
struct ContainerEnd {
  std::optional<std::int32_t> end;  // runhv_end; empty = the VM failed on its way
  std::int32_t value;
  int exit_status;
  std::optional<Error> reason;  // of a program that was not started, or of the failure
  std::uint32_t oom_kills = 0;  // runhv_exit_status::oom_kills
};

// Several lines, each ended. `colour`: escape sequences and block characters, for a terminal.
std::string timings_table(const std::string& id, const runhv_statistics& statistics,
                          const ContainerEnd& end, bool colour);

// One line, ended.
std::string timings_json(const std::string& id, const runhv_statistics& statistics,
                         const ContainerEnd& end);

}  // namespace runhv
