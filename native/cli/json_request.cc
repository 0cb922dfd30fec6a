#include "cli/json_request.h"

#include <cstdio>

namespace runhv {
namespace {

// As a terminal can show it, whatever its encoding.
std::string shown(const std::string& text) {
  std::string shown;
  for (const char c : text) {
    if (c >= ' ' && c <= '~') {
      shown += c;
      continue;
    }
    char escaped[5];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(c));
    shown += escaped;
  }
  return shown;
}

}  // namespace

Result<std::string> JsonRequest::finish() {
  json_.EndObject();
  if (!refused_.empty()) {
    return Fail{Error{Code::kInvalidArgument, operation_, refused_ + " is not UTF-8"}};
  }
  return std::string(buffer_.GetString(), buffer_.GetSize());
}

void JsonRequest::string(const char* key, const std::string& value) {
  const auto size = static_cast<rapidjson::SizeType>(value.size());
  if (!json_.String(value.data(), size) && refused_.empty()) {
    refused_ = std::string(key) + " \"" + shown(value) + "\"";
  }
}

}  // namespace runhv
