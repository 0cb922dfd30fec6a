// Connections to the host.
#pragma once

#include <cstdint>

namespace runhv::agent {

// A stream to `port` of the host (CID 2). `flags`: SOCK_NONBLOCK = do not wait for the answer.
// Returns the socket or a negative errno.
int vsock_connect(std::uint32_t port, int flags);

}  // namespace runhv::agent
