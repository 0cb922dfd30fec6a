// The container's root: the image, a writable layer on it, and this process inside.
#pragma once

#include "failure.h"
#include "request.h"

namespace runhv::agent {

// `shares`: the file system of the shares, to be closed, or negative where there are none.
bool open_shares(const ContainerRequest& container, int& shares, Failure& failure);

// Afterwards "/" is the container's root, still writable, and the working directory is "/".
bool enter_root(const ContainerRequest& container, Failure& failure);

// The last word on the root itself: propagation and, if asked, read-only.
bool finish_root(const ContainerRequest& container, Failure& failure);

}  // namespace runhv::agent
