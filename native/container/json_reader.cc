#include "container/json_reader.h"

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

namespace runhv::container {
namespace {

// Passes the parser's events on while the nesting is within its bound.
struct DepthLimit {
  rapidjson::Document& next;
  std::size_t depth = 0;

  bool deeper() { return ++depth <= JsonReader::kMaxDepth; }

  bool Null() { return next.Null(); }
  bool Bool(bool b) { return next.Bool(b); }
  bool Int(int i) { return next.Int(i); }
  bool Uint(unsigned i) { return next.Uint(i); }
  bool Int64(std::int64_t i) { return next.Int64(i); }
  bool Uint64(std::uint64_t i) { return next.Uint64(i); }
  bool Double(double d) { return next.Double(d); }
  bool RawNumber(const char* s, rapidjson::SizeType n, bool copy) {
    return next.RawNumber(s, n, copy);
  }
  bool String(const char* s, rapidjson::SizeType n, bool copy) { return next.String(s, n, copy); }
  bool StartObject() { return deeper() && next.StartObject(); }
  bool Key(const char* s, rapidjson::SizeType n, bool copy) { return next.Key(s, n, copy); }
  bool EndObject(rapidjson::SizeType n) {
    --depth;
    return next.EndObject(n);
  }
  bool StartArray() { return deeper() && next.StartArray(); }
  bool EndArray(rapidjson::SizeType n) {
    --depth;
    return next.EndArray(n);
  }
};

}  // namespace

Result<std::unique_ptr<JsonReader>> JsonReader::parse(std::string_view text,
                                                      std::string operation) {
  std::unique_ptr<JsonReader> made(new JsonReader(std::move(operation)));
  rapidjson::ParseResult outcome;
  auto generate = [&](rapidjson::Document& document) {
    rapidjson::MemoryStream stream(text.data(), text.size());
    DepthLimit limit{document};
    rapidjson::Reader reader;
    outcome = reader.Parse<rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag>(
        stream, limit);
    return !outcome.IsError();
  };
  made->document_.Populate(generate);
  if (outcome.IsError()) {
    const std::string why =
        outcome.Code() == rapidjson::kParseErrorTermination
            ? "nested deeper than " + std::to_string(kMaxDepth) + " levels"
            : std::string("not JSON: ") + rapidjson::GetParseError_En(outcome.Code());
    return Fail{Error{Code::kCorruptInput, made->operation_,
                      why + " (at byte " + std::to_string(outcome.Offset()) + ")"}};
  }
  return made;
}

JsonNode JsonReader::root() { return JsonNode(this, &document_, ""); }

JsonNode::JsonNode(JsonReader* reader, const rapidjson::Value* value, std::string path)
    : reader_(reader),
      value_(value != nullptr && value->IsNull() ? nullptr : value),
      path_(std::move(path)) {}

void JsonNode::complain(std::string_view text, Code code) const {
  if (reader_->error_) return;
  std::string detail = path_.empty() ? std::string("the document") : path_;
  detail += ": ";
  detail += text;
  reader_->error_ = Error{code, reader_->operation_, std::move(detail)};
}

const JsonNode& JsonNode::required(std::string_view expected) const {
  if (!present()) complain("missing; expected " + std::string(expected));
  return *this;
}

JsonNode JsonNode::operator[](std::string_view member) const {
  std::string path = path_.empty() ? std::string(member) : path_ + "." + std::string(member);
  if (!present()) return JsonNode(reader_, nullptr, std::move(path));
  if (!value_->IsObject()) {
    complain("expected an object");
    return JsonNode(reader_, nullptr, std::move(path));
  }
  const rapidjson::Value name(
      rapidjson::StringRef(member.data(), static_cast<rapidjson::SizeType>(member.size())));
  const auto found = value_->FindMember(name);
  return JsonNode(reader_, found == value_->MemberEnd() ? nullptr : &found->value, std::move(path));
}

std::vector<JsonNode> JsonNode::elements() const {
  std::vector<JsonNode> all;
  if (!present()) return all;
  if (!value_->IsArray()) {
    complain("expected an array");
    return all;
  }
  all.reserve(value_->Size());
  for (rapidjson::SizeType i = 0; i < value_->Size(); ++i) {
    all.push_back(JsonNode(reader_, &(*value_)[i], path_ + "[" + std::to_string(i) + "]"));
    if (!all.back().present()) all.back().complain("expected a value, not null");
  }
  return all;
}

std::vector<std::pair<std::string, JsonNode>> JsonNode::members() const {
  std::vector<std::pair<std::string, JsonNode>> all;
  if (!present()) return all;
  if (!value_->IsObject()) {
    complain("expected an object");
    return all;
  }
  all.reserve(value_->MemberCount());
  for (const auto& member : value_->GetObject()) {
    std::string name(member.name.GetString(), member.name.GetStringLength());
    JsonNode node(reader_, &member.value, path_ + "[\"" + name + "\"]");
    if (name.find('\0') != std::string::npos) node.complain("the name holds a NUL");
    all.emplace_back(std::move(name), std::move(node));
  }
  return all;
}

std::string JsonNode::string() const {
  if (!present()) return "";
  if (!value_->IsString()) {
    complain("expected a string");
    return "";
  }
  std::string text(value_->GetString(), value_->GetStringLength());
  if (text.find('\0') != std::string::npos) complain("the string holds a NUL");
  return text;
}

std::vector<std::string> JsonNode::strings() const {
  std::vector<std::string> all;
  for (const JsonNode& element : elements()) all.push_back(element.string());
  return all;
}

bool JsonNode::boolean() const {
  if (!present()) return false;
  if (!value_->IsBool()) {
    complain("expected true or false");
    return false;
  }
  return value_->GetBool();
}

std::uint64_t JsonNode::unsigned_integer(std::uint64_t least, std::uint64_t most) const {
  if (!present()) return 0;
  if (!value_->IsUint64() || value_->GetUint64() < least || value_->GetUint64() > most) {
    complain("expected an integer from " + std::to_string(least) + " to " + std::to_string(most));
    return 0;
  }
  return value_->GetUint64();
}

std::int64_t JsonNode::signed_integer(std::int64_t least, std::int64_t most) const {
  if (!present()) return 0;
  if (!value_->IsInt64() || value_->GetInt64() < least || value_->GetInt64() > most) {
    complain("expected an integer from " + std::to_string(least) + " to " + std::to_string(most));
    return 0;
  }
  return value_->GetInt64();
}

}  // namespace runhv::container
