// linux.seccomp of the runtime specification, compiled to the classic BPF that seccomp(2) takes.
#pragma once

#include "container/json_reader.h"
#include "container/process_spec.h"

namespace runhv::container {

// Complains through `section`'s reader; the result counts only where that has no error.
//
// Where a system call has several rules, one without arguments decides alone, else the first whose
// arguments all match, else the default action: as libseccomp merges them. Names that the table
// lacks are skipped, as runc does: profiles are written for many architectures.
SeccompFilter compile_seccomp(const JsonNode& section);

}  // namespace runhv::container
