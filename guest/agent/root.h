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

// Afterwards the container's root lies on "/" of the mount namespace, which the caller still sees.
// A namespace that a user namespace makes of this one has it locked there (mount_namespaces(7)).
bool put_root_on_top(Failure& failure);

// Afterwards "/" is the container's root, still writable, and the working directory is "/".
// REQUIRES: the caller's root is that of its mount namespace.
bool enter_root(Failure& failure);

// The last word on the root itself: propagation and, if asked, read-only.
bool finish_root(const ContainerRequest& container, Failure& failure);

}  // namespace runhv::agent
