#pragma once

#include <string>

#include "base/result.h"
#include "platform/handle.h"

namespace runhv::platform {

// Opens `folder`. kAccessDenied unless it belongs to this user or the administrators, nobody but
// them and the system may enter it, and it is no link.
Result<UniqueHandle> open_private_folder(const std::string& folder, const std::string& operation);

}  // namespace runhv::platform
