// A request to the Java side, one JSON object (docs/prepare.md).
#pragma once

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace runhv::cli {

// An object that is written member by member; the first text that is not UTF-8 is kept. JSON knows
// no bytes: escaped, as container::JsonWriter has it, such a text would name another file.
class JsonRequest {
 public:
  using Writer = rapidjson::Writer<rapidjson::StringBuffer, rapidjson::UTF8<>, rapidjson::UTF8<>,
                                   rapidjson::CrtAllocator, rapidjson::kWriteValidateEncodingFlag>;

  // `operation`: what cannot be asked for where a text is not UTF-8.
  explicit JsonRequest(std::string operation) : operation_(std::move(operation)) {
    json_.StartObject();
  }

  Writer& json() { return json_; }

  void write(const char* key, const std::string& value) {
    json_.Key(key);
    string(key, value);
  }

  void write_unless_empty(const char* key, const std::string& value) {
    if (!value.empty()) write(key, value);
  }

  void write(const char* key, const std::vector<std::string>& values) {
    json_.Key(key);
    json_.StartArray();
    for (const std::string& value : values) string(key, value);
    json_.EndArray();
  }

  void write(const char* key, const std::vector<std::pair<std::string, std::string>>& members) {
    json_.Key(key);
    json_.StartObject();
    for (const auto& [name, value] : members) {
      string(key, name);
      string(key, value);
    }
    json_.EndObject();
  }

  // The whole text, or which of its texts was not UTF-8.
  Result<std::string> finish();

 private:
  void string(const char* key, const std::string& value);

  const std::string operation_;
  rapidjson::StringBuffer buffer_;
  Writer json_{buffer_};
  std::string refused_;
};

}  // namespace runhv::cli
