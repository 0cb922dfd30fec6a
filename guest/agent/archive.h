// The root of a container as a tar archive on the standard output: what `runhv export` reads.
#pragma once

namespace runhv::agent {

// In a process of the container, which is its root user with the capabilities to see all of it.
// Without what is mounted over the root's file system, and without sockets. What cannot be read is
// named on the standard error, and zeros in the archive, and the status is 1.
[[noreturn]] void write_archive();

}  // namespace runhv::agent
