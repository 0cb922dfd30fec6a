// Files that the host gives the container, beside those of its image: /etc/hosts and the like.
#pragma once

#include "failure.h"
#include "request.h"

namespace runhv::agent {

// Inside the container's root, before its mounts are made.
bool make_files(const ContainerRequest& container, Failure& failure);

}  // namespace runhv::agent
