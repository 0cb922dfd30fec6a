// JSON that is written in order, the counterpart of json_reader.h. A text that is no UTF-8, as the
// name of a file may be, is escaped: what is written can be read by anybody.
#pragma once

#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/text.h"

namespace runhv::container {

// `Writer`: one of RapidJSON's, which says where lines end. REQUIRES: one value in all; `members`
// of an object writes members alone, `elements` of an array none.
template <class Writer>
class BasicJsonWriter {
 public:
  BasicJsonWriter() {
    if constexpr (requires { json_.SetIndent(' ', 2); }) json_.SetIndent(' ', 2);
  }

  // A text, an integer or a truth; of an optional that is empty, null; a vector is an array.
  template <class Value>
  void value(const Value& one) {
    if constexpr (std::is_same_v<Value, bool>) {
      json_.Bool(one);
    } else if constexpr (std::unsigned_integral<Value>) {
      json_.Uint64(one);
    } else if constexpr (std::signed_integral<Value>) {
      json_.Int64(one);
    } else {
      const std::string text = escape_invalid_utf8(one);
      json_.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
    }
  }
  template <class Value>
  void value(const std::optional<Value>& maybe) {
    if (maybe) {
      value(*maybe);
    } else {
      json_.Null();
    }
  }
  template <class Value>
  void value(const std::vector<Value>& values) {
    json_.StartArray();
    for (const Value& each : values) value(each);
    json_.EndArray();
  }
  template <class Value>
  void member(std::string_view name, const Value& one) {
    key(name);
    value(one);
  }

  template <class Members>
  void object(const Members& members) {
    json_.StartObject();
    members();
    json_.EndObject();
  }
  template <class Members>
  void object(std::string_view name, const Members& members) {
    key(name);
    object(members);
  }
  template <class Elements>
  void array(std::string_view name, const Elements& elements) {
    key(name);
    json_.StartArray();
    elements();
    json_.EndArray();
  }

  // All that was written, whose last line has no end.
  std::string text() const { return std::string(buffer_.GetString(), buffer_.GetSize()); }

 private:
  void key(std::string_view name) {
    const std::string text = escape_invalid_utf8(name);
    json_.Key(text.data(), static_cast<rapidjson::SizeType>(text.size()));
  }

  rapidjson::StringBuffer buffer_;
  Writer json_{buffer_};
};

using JsonWriter = BasicJsonWriter<rapidjson::Writer<rapidjson::StringBuffer>>;  // one line
// A line for each member, two spaces deeper than what it is in.
using IndentedJsonWriter = BasicJsonWriter<rapidjson::PrettyWriter<rapidjson::StringBuffer>>;

// `text`, quoted.
inline std::string json_string(std::string_view text) {
  JsonWriter json;
  json.value(text);
  return json.text();
}

}  // namespace runhv::container
