// Whether memory ran out: what the kernel counts of the processes that it killed for it.
#pragma once

#include <cstdint>
#include <string_view>

namespace runhv::agent {

// The count in the text of /proc/vmstat; 0 where it is not there. UINT32_MAX stands for any more.
std::uint32_t oom_kills_in(std::string_view vmstat);

// Asks /proc, which is mounted. 0 where the kernel does not tell.
std::uint32_t count_oom_kills();

}  // namespace runhv::agent
