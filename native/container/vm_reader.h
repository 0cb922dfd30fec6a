// The parts of config.json that are the machine's.
#pragma once

#include "container/annotations.h"
#include "container/json_reader.h"
#include "container/vm_shape.h"

namespace runhv::container {

// Complains through the node's reader; the result counts only where that has no error.
void read_vm(const JsonNode& root, const Annotations& annotations, VmShape& shape);

}  // namespace runhv::container
