#include "devices/console/console_text.h"

#include "base/text.h"

namespace runhv::devices {
namespace {

bool continues_a_character(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

// Where to cut a line that is too long: before a character of UTF-8 that may not be whole.
std::size_t whole_characters(std::string_view line) {
  constexpr std::size_t kLongestCharacter = 4;
  for (std::size_t back = 1; back <= kLongestCharacter; ++back) {
    const char byte = line[line.size() - back];
    if (continues_a_character(byte)) continue;
    const bool begins_one = (static_cast<unsigned char>(byte) & 0x80) != 0;
    return begins_one ? line.size() - back : line.size();
  }
  return line.size();
}

}  // namespace

std::string ConsoleText::add(std::string_view text) {
  std::string shown;
  for (const char byte : text) add_byte(byte, shown);
  return shown;
}

std::string ConsoleText::finish() {
  std::string shown;
  if (!line_.empty()) show(line_.size(), shown);
  continues_ = false;
  return shown;
}

void ConsoleText::add_byte(char byte, std::string& shown) {
  if (byte != '\n') {
    line_ += byte;
    if (line_.size() < kLongLineBytes) return;
    show(whole_characters(line_), shown);
    continues_ = true;
    return;
  }
  while (line_.ends_with('\r')) line_.pop_back();  // a terminal's end of line
  // The end of a line that was cut is no line of its own.
  if (!line_.empty() || !continues_) show(line_.size(), shown);
  continues_ = false;
}

void ConsoleText::show(std::size_t size, std::string& shown) {
  shown += "guest: ";
  std::string_view rest = std::string_view(line_).substr(0, size);
  while (true) {
    const std::size_t tab = rest.find('\t');
    shown += escape_controls(rest.substr(0, tab));
    if (tab == std::string_view::npos) break;
    shown += '\t';
    rest.remove_prefix(tab + 1);
  }
  shown += '\n';
  line_.erase(0, size);
}

}  // namespace runhv::devices
