#pragma once

#include <string>

#include "base/result.h"
#include "platform/handle.h"

namespace runhv::platform {

// Opens `folder`. kAccessDenied unless it belongs to this user, who alone may enter it, and is no
// symbolic link.
Result<UniqueHandle> open_private_folder(const std::string& folder, const std::string& operation);

}  // namespace runhv::platform
