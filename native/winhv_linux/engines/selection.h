// Which engine the partitions of this process run on.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "winhv_linux/engine.h"

namespace runhv::winhv_linux {

using OpenedEngine = Result<std::unique_ptr<Engine>>;

struct Selection {
  const char* name;                   // "soft", "kvm"
  const OpenedEngine& engine;         // opened once in a process
  std::optional<std::string> reason;  // why, where "auto" took it
  std::string error;                  // why it is not there; empty where it is
};

// "auto", "soft", "kvm"; false: no such name. "auto" probes KVM. Threads: any.
bool select_engine(std::string_view name);

// What was selected, else what $RUNHV_WHP_ENGINE names, else soft. It stays until the process ends.
// Threads: any.
const Selection& selected_engine();

}  // namespace runhv::winhv_linux
