#include "oci/process_json.h"

#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <charconv>

namespace runhv::oci {
namespace {

using Value = rapidjson::Value;

Result<std::uint32_t> number(const std::string& operation, std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure == std::errc() && end == text.data() + text.size() && !text.empty()) return value;
  return invalid_argument(
      operation, "\"" + std::string(text) + "\": expected the number of a user or a group");
}

// A process object that is changed member by member.
class Editor {
 public:
  Editor(rapidjson::Document& document, std::string operation)
      : process_(document), memory_(document.GetAllocator()), operation_(std::move(operation)) {}

  Value& object(const char* name) { return member(process_, name, rapidjson::kObjectType); }
  Value& array(const char* name) { return member(process_, name, rapidjson::kArrayType); }
  Value& array(Value& parent, const char* name) {
    return member(parent, name, rapidjson::kArrayType);
  }
  void set(const char* name, Value value) { set(process_, name, std::move(value)); }
  void set(Value& parent, const char* name, Value value) {
    parent.RemoveMember(name);
    parent.AddMember(Value(name, memory_), value, memory_);
  }
  Value text(const std::string& value) {
    return Value(value.data(), static_cast<rapidjson::SizeType>(value.size()), memory_);
  }
  void append(Value& list, const std::string& value) { list.PushBack(text(value), memory_); }
  void copy_where_missing(const Value& from, const char* name) {
    if (process_.HasMember(name) || !from.HasMember(name)) return;
    set(name, Value(from[name], memory_));
  }
  rapidjson::Document::AllocatorType& memory() { return memory_; }

  Result<void> apply(const ProcessWishes& wishes) {
    array("args").Clear();
    for (const std::string& each : wishes.arguments) append(array("args"), each);
    for (const std::string& each : wishes.environment) append(array("env"), each);
    if (!wishes.cwd.empty()) set("cwd", text(wishes.cwd));
    if (!wishes.user.empty()) {
      const std::size_t colon = wishes.user.find(':');
      RUNHV_TRY_ASSIGN(const std::uint32_t uid, number(operation_, wishes.user.substr(0, colon)));
      set(object("user"), "uid", Value(uid));
      if (colon != std::string::npos) {
        RUNHV_TRY_ASSIGN(const std::uint32_t gid,
                         number(operation_, wishes.user.substr(colon + 1)));
        set(object("user"), "gid", Value(gid));
      }
    }
    for (const std::string& each : wishes.additional_groups) {
      RUNHV_TRY_ASSIGN(const std::uint32_t gid, number(operation_, each));
      array(object("user"), "additionalGids").PushBack(Value(gid), memory_);
    }
    for (const std::string& each : wishes.capabilities) {
      // As runc: what the program executes has it no longer, unless its user is root.
      for (const char* set_name : {"bounding", "effective", "permitted"}) {
        append(array(object("capabilities"), set_name), each);
      }
    }
    if (wishes.no_new_privileges) set("noNewPrivileges", Value(true));
    set("terminal", Value(wishes.terminal));
    return {};
  }

 private:
  Value& member(Value& parent, const char* name, rapidjson::Type type) {
    const auto found = parent.FindMember(name);
    if (found == parent.MemberEnd() || found->value.GetType() != type)
      set(parent, name, Value(type));
    return parent[name];
  }

  Value& process_;
  rapidjson::Document::AllocatorType& memory_;
  const std::string operation_;
};

}  // namespace

Result<ProcessJson> process_json(std::string_view config, const ProcessWishes& wishes,
                                 const std::string& operation) {
  rapidjson::Document whole;
  whole.Parse<rapidjson::kParseIterativeFlag>(config.data(), config.size());
  if (whole.HasParseError() || !whole.IsObject() || !whole.HasMember("process") ||
      !whole["process"].IsObject()) {
    return Fail{
        Error{Code::kCorruptInput, operation, "the container's config.json has no process"}};
  }
  const Value& first = whole["process"];
  rapidjson::Document process;
  if (wishes.process.empty()) {
    process.CopyFrom(first, process.GetAllocator());
    process.RemoveMember("consoleSize");
  } else {
    process.Parse<rapidjson::kParseIterativeFlag>(wishes.process.data(), wishes.process.size());
    if (process.HasParseError() || !process.IsObject()) {
      return Fail{Error{Code::kCorruptInput, operation, "--process: expected a JSON object"}};
    }
  }
  Editor editor(process, operation);
  if (wishes.process.empty()) {
    RUNHV_TRY(editor.apply(wishes));
  } else {
    // runc: what the process does not say is the container's.
    for (const char* name : {"capabilities", "noNewPrivileges", "rlimits", "oomScoreAdj"}) {
      editor.copy_where_missing(first, name);
    }
  }
  if (const auto section = whole.FindMember("linux");
      section != whole.MemberEnd() && section->value.IsObject()) {
    editor.copy_where_missing(section->value, "seccomp");
  }
  const auto terminal = process.FindMember("terminal");
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> json(buffer);
  process.Accept(json);
  return ProcessJson{std::string(buffer.GetString(), buffer.GetSize()),
                     terminal != process.MemberEnd() && terminal->value.IsTrue()};
}

}  // namespace runhv::oci
