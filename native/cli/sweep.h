// What processes that were killed left behind.
#pragma once

#include <string>

namespace runhv::cli {

// Removes what is in a folder of things that live for moments and has not been written for ten
// minutes: it has nobody.
void sweep(const std::string& directory);

// Removes the folders of a directory that nobody holds (platform/folder_lock.h), and files there,
// which nobody can.
void sweep_unlocked(const std::string& directory);

}  // namespace runhv::cli
