// Users and groups of a user namespace, and who they are outside: linux.uidMappings and the same of
// groups, and of a mount.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "container/json_reader.h"
#include "runhv_agent.h"

namespace runhv::container {

using IdMap = std::vector<runhv_id_range>;

// Of a user namespace. Both are empty where it is everybody's.
struct UserMaps {
  IdMap users;
  IdMap groups;
};

// Complains where it is longer than the kernel takes, or two of its ranges overlap on either side.
IdMap read_id_map(const JsonNode& node);

// The same as the kernel writes it, /proc/PID/uid_map. `operation` is that of every error.
Result<IdMap> parse_id_map(std::string_view text, const std::string& operation);
std::string id_map_text(const IdMap& map);

// Whether the guest's kernel takes it: by one write of less than a page.
bool fits_into_a_write(const IdMap& map);

bool maps(const IdMap& map, std::uint32_t inside);

}  // namespace runhv::container
