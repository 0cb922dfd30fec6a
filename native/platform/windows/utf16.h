// Names and words of Windows are UTF-16, ours are UTF-8.
#pragma once

#include <string>
#include <string_view>

namespace runhv::platform {

// What is no UTF-8 becomes U+FFFD, so that no two names become one: no file of that name is there.
std::wstring to_utf16(std::string_view text);
// Half a surrogate pair becomes U+FFFD.
std::string to_utf8(std::wstring_view text);

}  // namespace runhv::platform
