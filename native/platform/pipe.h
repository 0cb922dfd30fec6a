// A pipe within this process, for its threads and for what it starts.
#pragma once

#include "base/result.h"
#include "platform/handle.h"

namespace runhv::platform {

struct Pipe {
  UniqueHandle reader;
  UniqueHandle writer;
};

// No program that this process starts or becomes has the ends, unless it is given them. On Windows
// both are for overlapped I/O: a Stream of such an end needs no thread, and a program that is
// started could do little with it.
Result<Pipe> make_pipe();

}  // namespace runhv::platform
