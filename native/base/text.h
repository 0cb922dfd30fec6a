// Text of others, to be shown.
#pragma once

#include <string>
#include <string_view>

namespace runhv {

// Printable ASCII and UTF-8 stay; control characters, among them those that move a terminal's
// cursor, and bytes that are no UTF-8 become \xNN.
std::string escape_controls(std::string_view text);

}  // namespace runhv
