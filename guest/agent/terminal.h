// A pseudo-terminal of the container's own devpts.
#pragma once

#include "failure.h"
#include "request.h"

namespace runhv::agent {

// In the container: makes one, puts the container's side of it on 0, 1 and 2, and returns the
// descriptor of the other side, or -1 with `failure`. `as_console`: it is the container's
// /dev/console, too.
int open_terminal(const ProcessRequest& process, bool as_console, Failure& failure);

// After setsid: makes it the controlling terminal.
bool take_terminal(Failure& failure);

// `terminal`: the other side.
long set_terminal_size(int terminal, std::uint16_t columns, std::uint16_t rows);

}  // namespace runhv::agent
