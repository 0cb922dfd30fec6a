// Where this system keeps what the programs of a user have. Nothing is made; a folder may be
// missing.
#pragma once

#include <string>

#include "base/result.h"

namespace runhv::platform {

// For the state of what runs. Linux: `program` below XDG_RUNTIME_DIR where that is there, else
// PROGRAM-UID below the folder of temporary files. Windows: run in `program` below LOCALAPPDATA.
Result<std::string> runtime_folder(const std::string& program);

// For what is kept. Linux: `program` below XDG_DATA_HOME, else below .local/share of HOME. Windows:
// data in `program` below LOCALAPPDATA. kInvalidArgument where the environment does not say it.
Result<std::string> data_folder(const std::string& program);

}  // namespace runhv::platform
