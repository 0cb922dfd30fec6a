// A `process` object, wherever it stands.
#pragma once

#include "container/json_reader.h"
#include "container/process_spec.h"

namespace runhv::container {

// Complains through the node's reader; the result counts only where that has no error.
void read_process(const JsonNode& process, ProcessSpec& spec);

}  // namespace runhv::container
