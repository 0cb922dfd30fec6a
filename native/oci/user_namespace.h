// Whose users a container has that names its user namespace by a path.
#pragma once

#include <string>

#include "base/result.h"
#include "container/id_map.h"

namespace runhv::oci {

// Both are empty where it is the caller's own.
struct UserMaps {
  container::IdMap users;
  container::IdMap groups;
};

// Of a user namespace by the path of its file: of a container under `root` that the path names the
// process of, those of its config.json, and else what the kernel says, in the caller's ids.
Result<UserMaps> maps_of_user_namespace(const std::string& root, const std::string& path);

// Whether the path names a container in the VM of `pod`, or `pod` itself.
Result<bool> is_in_pod(const std::string& root, const std::string& pod, const std::string& path);

}  // namespace runhv::oci
