#include "container/json_fields.h"

#include <algorithm>
#include <charconv>

#include "platform/path.h"

namespace runhv::container {

std::string guest_path(const JsonNode& node) {
  std::string path = node.string();
  if (node.present() && !path.starts_with('/')) node.complain("expected an absolute path");
  return path;
}

std::vector<std::string> guest_paths(const JsonNode& node) {
  std::vector<std::string> paths;
  for (const JsonNode& element : node.elements()) paths.push_back(guest_path(element));
  return paths;
}

std::string host_path(const JsonNode& node) {
  std::string path = node.string();
  if (node.present() && !platform::is_absolute_path(path))
    node.complain("expected an absolute path");
  return path;
}

std::vector<std::string> lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    lines.emplace_back(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(text.size(), lines.back().size() + 1));
  }
  return lines;
}

std::optional<std::uint64_t> decimal(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// What cannot be applied is refused, never dropped in silence.
void refuse(const JsonNode& node, std::string_view why) {
  if (node.present()) node.complain(why, Code::kUnsupported);
}

void refuse_text(const JsonNode& node, std::string_view why) {
  if (!node.string().empty()) node.complain(why, Code::kUnsupported);
}

}  // namespace runhv::container
