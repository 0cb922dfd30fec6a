// The verbs about containers that are there: list, state, kill, delete. None starts a JVM.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "control/container_folder.h"

namespace runhv {

// `root`: of --root; empty = the user's own. `arguments` after the verb. What is printed.
Result<std::string> list_containers_verb(const std::string& root,
                                         std::span<const std::string_view> arguments);
Result<std::string> state_verb(const std::string& root,
                               std::span<const std::string_view> arguments);
Result<std::string> kill_verb(const std::string& root, std::span<const std::string_view> arguments);
Result<std::string> delete_verb(const std::string& root,
                                std::span<const std::string_view> arguments);

// For people: a line for each, under a heading.
std::string containers_table(const std::vector<control::FoundContainer>& containers);
// One JSON array, ended.
std::string containers_json(const std::vector<control::FoundContainer>& containers);

}  // namespace runhv
