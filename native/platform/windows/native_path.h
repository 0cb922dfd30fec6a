// How a path of ours is written to the system.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace runhv::platform {

// `path`: UTF-8, with either slash, absolute or from the process's folder. Gives it absolute, in
// UTF-16 and in the form that may have more than 260 characters (\\?\). kInvalidArgument, with
// `operation`, for what would not name a file of that name: a device (CON, NUL.txt, \\.\…), a
// stream of a file (a:b), a name that ends with a dot or a space, and bytes that are no UTF-8.
Result<std::wstring> native_path(std::string_view path, const std::string& operation);

}  // namespace runhv::platform
