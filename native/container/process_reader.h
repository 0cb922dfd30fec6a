// A `process` object, wherever it stands, and what others have of one.
#pragma once

#include <string>
#include <vector>

#include "container/json_reader.h"
#include "container/process_spec.h"

namespace runhv::container {

// Complains through the node's reader; the result counts only where that has no error.
void read_process(const JsonNode& process, ProcessSpec& spec);
// `env`, of a hook as well. Of a name that is there again the last value counts, as with runc: a
// program would find the first.
std::vector<std::string> read_environment(const JsonNode& variables);
// linux.personality, which every process of the container has: the number of personality(2).
std::uint32_t read_personality(const JsonNode& node);

}  // namespace runhv::container
