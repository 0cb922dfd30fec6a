// What ps(1) shows of the processes of the host that stand for a container.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace runhv::oci {

// Of what ps(1) has printed, the heading and the lines of these processes, by its column PID. An
// error where it has none.
Result<std::string> rows_of_processes(std::string_view table, std::span<const std::uint64_t> pids);

}  // namespace runhv::oci
