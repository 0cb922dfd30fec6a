// What the readers of config.json have in common.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "container/json_reader.h"

namespace runhv::container {

// Of the guest, from its root.
std::string guest_path(const JsonNode& node);
std::vector<std::string> guest_paths(const JsonNode& node);
// Of this host.
std::string host_path(const JsonNode& node);

// Of an annotation with a list in it; a newline behind the last line is one's own choice.
std::vector<std::string> lines(std::string_view text);

std::optional<std::uint64_t> decimal(std::string_view text);

// What cannot be applied is refused, never dropped in silence.
void refuse(const JsonNode& node, std::string_view why);
void refuse_text(const JsonNode& node, std::string_view why);  // unless it is empty

}  // namespace runhv::container
