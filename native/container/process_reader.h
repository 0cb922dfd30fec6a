// A `process` object, wherever it stands.
#pragma once

#include "container/json_reader.h"
#include "container/process_spec.h"

namespace runhv::container {

// Complains through the node's reader; the result counts only where that has no error.
void read_process(const JsonNode& process, ProcessSpec& spec);
// linux.personality, which every process of the container has: the number of personality(2).
std::uint32_t read_personality(const JsonNode& node);

}  // namespace runhv::container
