// The files that docker gives every container.
#pragma once

#include "container/container_spec.h"

namespace runhv::container {

// By the container's names, which must be there: hostname, hosts, and where the image has none,
// resolv.conf and mtab.
void add_etc(ContainerSpec& spec);

}  // namespace runhv::container
