// The parts of config.json that are a container's.
#pragma once

#include "container/annotations.h"
#include "container/container_spec.h"
#include "container/json_reader.h"

namespace runhv::container {

// Complains through the node's reader; the result counts only where that has no error.
void read_container(const JsonNode& root, const Annotations& annotations, Joins joins,
                    ContainerSpec& spec);

}  // namespace runhv::container
