// The container's root: the image, a writable layer on it, and this process inside.
#pragma once

#include "failure.h"
#include "request.h"

namespace runhv::agent {

// On folders of the agent's: the file system of the shares, where there are any, and the root.
bool mount_shares(const ContainerRequest& container, Failure& failure);
bool mount_root(const ContainerRequest& container, Failure& failure);

// `shares`: the file system of the shares, to be closed, or negative where there are none.
bool open_shares(const ContainerRequest& container, int& shares, Failure& failure);

// Afterwards "/" is the container's root, still writable, and the working directory is "/".
// `is_locked`: it was mounted by who could do more (mount_namespaces(7)).
bool enter_root(bool is_locked, Failure& failure);

// The last word on the root itself: propagation and, if asked, read-only.
bool finish_root(const ContainerRequest& container, Failure& failure);

}  // namespace runhv::agent
