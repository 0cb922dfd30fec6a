// The files of the distribution that a machine is made of, where nothing else is named.
#pragma once

#include <string>

#include "base/result.h"

namespace runhv::vmm_main {

// RUNHV_SHARE, else the folder beside the program's.
Result<std::string> share_directory();

inline std::string default_kernel(const std::string& share) { return share + "/vmlinux-minimal"; }
inline std::string default_initrd(const std::string& share) { return share + "/agent.cpio"; }

}  // namespace runhv::vmm_main
