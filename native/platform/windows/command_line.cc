#include "platform/windows/command_line.h"

#include <algorithm>

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

bool is_blank(wchar_t c) { return c == L' ' || c == L'\t'; }

// Of the program's name: it is a path, in which a backslash is itself.
std::size_t end_of_name(std::wstring_view line) {
  bool quoted = false;
  std::size_t at = 0;
  for (; at < line.size() && (quoted || !is_blank(line[at])); ++at) {
    if (line[at] == L'"') quoted = !quoted;
  }
  return at;
}

// Takes one argument off the front.
std::wstring take_argument(std::wstring_view& line) {
  std::wstring argument;
  bool quoted = false;
  while (!line.empty() && (quoted || !is_blank(line.front()))) {
    const std::size_t backslashes = std::min(line.find_first_not_of(L'\\'), line.size());
    const bool is_mark = backslashes < line.size() && line[backslashes] == L'"';
    if (!is_mark) {
      // One that is no backslash, where there are none.
      const std::size_t count = std::max<std::size_t>(backslashes, 1);
      argument += line.substr(0, count);
      line.remove_prefix(count);
      continue;
    }
    argument.append(backslashes / 2, L'\\');
    line.remove_prefix(backslashes + 1);
    if (backslashes % 2 != 0) {
      argument += L'"';
    } else if (quoted && line.starts_with(L'"')) {
      argument += L'"';
      line.remove_prefix(1);
    } else {
      quoted = !quoted;
    }
  }
  return argument;
}

}  // namespace

std::wstring command_line(const std::string& program, const std::vector<std::string>& arguments) {
  std::string line;
  append_quoted(line, program);
  for (const std::string& argument : arguments) append_quoted(line, argument);
  return to_utf16(line);
}

std::vector<std::string> split_command_line(std::wstring_view line) {
  std::vector<std::string> arguments;
  line.remove_prefix(end_of_name(line));
  while (true) {
    while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
    if (line.empty()) return arguments;
    arguments.push_back(to_utf8(take_argument(line)));
  }
}

}  // namespace runhv::platform
