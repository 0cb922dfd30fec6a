#include "platform/windows/command_line.h"

#include "platform/windows/utf16.h"

namespace runhv::platform {
namespace {

// "Parsing C command-line arguments": backslashes count double before a quotation mark, and only
// there.
void append_quoted(std::string& line, const std::string& argument) {
  if (!line.empty()) line += ' ';
  if (!argument.empty() && argument.find_first_of(" \t\n\v\"") == std::string::npos) {
    line += argument;
    return;
  }
  line += '"';
  std::size_t backslashes = 0;
  for (const char c : argument) {
    if (c == '"') line.append(backslashes + 1, '\\');
    backslashes = c == '\\' ? backslashes + 1 : 0;
    line += c;
  }
  line.append(backslashes, '\\');
  line += '"';
}

}  // namespace

std::wstring command_line(const std::string& program, const std::vector<std::string>& arguments) {
  std::string line;
  append_quoted(line, program);
  for (const std::string& argument : arguments) append_quoted(line, argument);
  return to_utf16(line);
}

}  // namespace runhv::platform
