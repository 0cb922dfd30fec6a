#include "base/text.h"

#include <algorithm>
#include <cstdio>

namespace runhv {
namespace {

// Bytes of the UTF-8 sequence at the start of `text`, 0 where there is none (RFC 3629).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const std::size_t length = first < 0x80                    ? 1
                             : first >= 0xc2 && first < 0xe0 ? 2
                             : first >= 0xe0 && first < 0xf0 ? 3
                             : first >= 0xf0 && first < 0xf5 ? 4
                                                             : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Longer than needed, a surrogate, beyond U+10FFFF.
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) >= 0xa0) ||
      (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) >= 0x90)) {
    return 0;
  }
  return length;
}

std::string escape(std::string_view text, bool controls_too) {
  std::string shown;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const auto first = static_cast<unsigned char>(text.front());
    // C1 controls are U+0080 to U+009F: two bytes, the first 0xc2.
    const bool control =
        (length == 1 && (first < 0x20 || first == 0x7f)) ||
        (length == 2 && first == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0);
    if (length != 0 && !(control && controls_too)) {
      shown += text.substr(0, length);
      text.remove_prefix(length);
      continue;
    }
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(first));
    shown += escaped;
    text.remove_prefix(1);
  }
  return shown;
}

}  // namespace

std::string escape_controls(std::string_view text) { return escape(text, true); }

std::string escape_invalid_utf8(std::string_view text) { return escape(text, false); }

bool is_name(std::string_view text, std::size_t most_bytes) {
  const bool allowed = std::ranges::all_of(text, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  });
  return allowed && !text.empty() && text.size() <= most_bytes && text.front() != '.' &&
         text.front() != '-';
}

}  // namespace runhv
