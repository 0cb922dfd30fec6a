#include "cli/json_request.h"

#include "base/text.h"

namespace runhv::cli {

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
    refused_ = std::string(key) + " \"" + escape_controls(value) + "\"";
  }
}

}  // namespace runhv::cli
