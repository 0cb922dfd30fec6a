// Strict reading of a JSON text from outside: bounded, typed, and every complaint names its path.
//
// The first complaint is kept and the getters go on with zeros, so that a reader of a large
// document is straight code that asks for the error once, at its end.
#pragma once

#include <rapidjson/document.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace runhv::container {

class JsonReader;

// One value, or the absence of one (a missing member, or null): every getter of an absent node
// gives its default. Valid for the reader's life.
class JsonNode {
 public:
  bool present() const { return value_ != nullptr; }
  const std::string& path() const { return path_; }

  JsonNode operator[](std::string_view member) const;
  std::vector<JsonNode> elements() const;
  std::vector<std::pair<std::string, JsonNode>> members() const;

  // Without NUL: no string that reaches a kernel may hold one.
  std::string string() const;
  std::vector<std::string> strings() const;
  bool boolean() const;
  std::uint64_t unsigned_integer(std::uint64_t least, std::uint64_t most) const;
  std::int64_t signed_integer(std::int64_t least, std::int64_t most) const;

  // Complains about this node: "path: text".
  void complain(std::string_view text, Code code = Code::kCorruptInput) const;
  // Complains unless the node is there.
  const JsonNode& required(std::string_view expected) const;

 private:
  friend class JsonReader;
  JsonNode(JsonReader* reader, const rapidjson::Value* value, std::string path);
  JsonReader* reader_;
  const rapidjson::Value* value_;
  std::string path_;
};

class JsonReader {
 public:
  static constexpr std::size_t kMaxDepth = 64;

  // The error's operation is `operation`, here and in error().
  static Result<std::unique_ptr<JsonReader>> parse(std::string_view text, std::string operation);

  JsonNode root();
  const std::optional<Error>& error() const { return error_; }

 private:
  friend class JsonNode;
  explicit JsonReader(std::string operation) : operation_(std::move(operation)) {}
  rapidjson::Document document_;
  std::string operation_;
  std::optional<Error> error_;
};

}  // namespace runhv::container
