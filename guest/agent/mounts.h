// Mounts, devices and paths of the container, inside its root.
#pragma once

#include "failure.h"
#include "request.h"
#include "users.h"

namespace runhv::agent {

// The devices of a container whose own root may make none: on a folder of the agent's, for who are
// to be their owners outside.
bool make_nodes(const ContainerRequest& container, const Users& users, Failure& failure);
bool open_nodes(int& nodes, Failure& failure);

bool make_mounts(const ContainerRequest& container, int shares, Failure& failure);
// `nodes`: of make_nodes, which are bound; negative: they are made here.
bool make_devices(const ContainerRequest& container, int nodes, Failure& failure);
// After make_devices: tmpfs mounts that were asked for as read-only become so.
bool finish_mounts(const ContainerRequest& container, Failure& failure);
bool hide_paths(const ContainerRequest& container, Failure& failure);

}  // namespace runhv::agent
