// Directories and nodes below the container's root. The caller has already made that root its own
// (chroot), so that no link and no ".." of the image can lead outside.
#pragma once

#include <cstdint>

namespace runhv::agent {

// Makes `path` and what is missing above it (0755), through links whose target does not exist yet.
// Returns 0 or a negative errno; -ENOTDIR where something else is in the way.
long make_directories(const char* path);

// An empty file (0644) where nothing is, and what is missing above it; through links as well.
long make_empty_file(const char* path);

// The directories above `path`.
long make_parent(const char* path);

// Makes a node, and the directories above it. One that exists already with that type and number is
// kept as it is; another one is -EEXIST. `mode` counts as it is: the caller has cleared the umask.
long make_node(const char* path, std::uint32_t mode, std::uint32_t major, std::uint32_t minor,
               std::uint32_t uid, std::uint32_t gid);

// Makes a symbolic link unless something has that name.
long make_link(const char* target, const char* path);

}  // namespace runhv::agent
