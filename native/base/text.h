// Text of others, to be shown.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace runhv {

// Printable ASCII and UTF-8 stay; control characters, among them those that move a terminal's
// cursor, and bytes that are no UTF-8 become \xNN.
std::string escape_controls(std::string_view text);

// Only bytes that are no UTF-8 become \xNN.
std::string escape_invalid_utf8(std::string_view text);

// 1 to `most_bytes` of A-Z a-z 0-9 _ . -, first a letter, digit or _: what names a container, and
// can name a file.
bool is_name(std::string_view text, std::size_t most_bytes);

}  // namespace runhv
