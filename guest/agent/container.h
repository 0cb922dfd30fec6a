// From a start request to a running first process.
#pragma once

#include "failure.h"
#include "start.h"
#include "streams.h"

namespace runhv::agent {

// Starts the first process of the container: returns its pid as soon as its program is in place
// (execve has succeeded), or -1 with `failure`. Blocks meanwhile.
int start_container(const StartRequest& start, Streams& streams, Failure& failure);

}  // namespace runhv::agent
