// Whose users a container has that names its user namespace by a path.
#pragma once

#include <string>

#include "base/result.h"
#include "container/id_map.h"

namespace runhv::oci {

// Of a user namespace by the path of its file: of a container under `root` that the path names the
// process of, those that this has, and else what the kernel says, in the caller's ids. The caller's
// own is everybody's.
Result<container::UserMaps> maps_of_user_namespace(const std::string& root,
                                                   const std::string& path);

// Whether the path names container `pod`, or one in its VM that shares its user namespace.
Result<bool> is_of_pod(const std::string& root, const std::string& pod, const std::string& path);

}  // namespace runhv::oci
