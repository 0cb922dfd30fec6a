// Where the files are that belong to this program.
#pragma once

#include <string>

#include "base/result.h"

namespace runhv::oci {

// The folder that holds bin, lib and share: the running program's, or of a copy that lies alone
// that which RUNHV_HOME names. kNotFound where neither is one.
Result<std::string> distribution();

// The program of a container's process in it.
std::string vmm_program(const std::string& home);

}  // namespace runhv::oci
