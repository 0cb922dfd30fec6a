#include "control/state_file.h"

#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/text.h"
#include "container/json_reader.h"

namespace runhv::control {
namespace {

constexpr std::uint64_t kVersion = 1;
constexpr const char* kOciVersion = "1.2.0";

template <class Writer>
void write(Writer& json, const char* key, const std::string& value) {
  json.Key(key);
  const std::string text = escape_invalid_utf8(value);
  json.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
}

template <class Writer>
void write(Writer& json, const char* key, const std::vector<std::string>& values) {
  json.Key(key);
  json.StartArray();
  for (const std::string& value : values) {
    const std::string text = escape_invalid_utf8(value);
    json.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
  }
  json.EndArray();
}

template <class Writer>
void write_annotations(Writer& json, const StoredState& state) {
  json.Key("annotations");
  json.StartObject();
  for (const auto& [name, value] : state.annotations) {
    write(json, escape_invalid_utf8(name).c_str(), value);
  }
  json.EndObject();
}

using Writer = rapidjson::Writer<rapidjson::StringBuffer>;

void write_end(Writer& json, const StoredEnd& end) {
  json.Key("end");
  json.StartObject();
  write(json, "kind", end.kind);
  json.Key("value");
  json.Int(end.value);
  if (end.reason) {
    json.Key("code");
    json.Int(static_cast<std::int32_t>(end.reason->code));
    write(json, "operation", end.reason->operation);
    write(json, "reason", end.reason->detail);
  }
  json.EndObject();
}

StoredEnd read_end(const container::JsonNode& node) {
  StoredEnd end;
  end.kind = node["kind"].required("a string").string();
  end.value = static_cast<std::int32_t>(node["value"].signed_integer(0, 255));
  if (const container::JsonNode code = node["code"]; code.present()) {
    end.reason = Error{static_cast<Code>(code.signed_integer(0, INT32_MAX)),
                       node["operation"].string(), node["reason"].string()};
  }
  return end;
}

}  // namespace

std::string state_json(const StoredState& state) {
  rapidjson::StringBuffer buffer;
  Writer json(buffer);
  json.StartObject();
  json.Key("version");
  json.Uint64(kVersion);
  write(json, "id", state.id);
  write(json, "bundle", state.bundle);
  if (!state.rootfs.empty()) write(json, "rootfs", state.rootfs);
  json.Key("pid");
  json.Uint64(state.pid);
  write(json, "status", state.status);
  json.Key("created_ns");
  json.Uint64(state.created_ns);
  json.Key("started_ns");
  json.Uint64(state.started_ns);
  json.Key("ended_ns");
  json.Uint64(state.ended_ns);
  json.Key("ephemeral");
  json.Bool(state.ephemeral);
  if (!state.image.empty()) write(json, "image", state.image);
  if (!state.pod.empty()) write(json, "pod", state.pod);
  write(json, "command", state.command);
  if (!state.cgroups.empty()) write(json, "cgroups", state.cgroups);
  if (state.end) write_end(json, *state.end);
  write_annotations(json, state);
  json.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

Result<StoredState> parse_state(std::string_view json, const std::string& operation) {
  RUNHV_TRY_ASSIGN(const auto reader, container::JsonReader::parse(json, operation));
  const container::JsonNode root = reader->root();
  StoredState state;
  root["version"].required("1").unsigned_integer(kVersion, kVersion);
  state.id = root["id"].required("a string").string();
  state.bundle = root["bundle"].string();
  state.rootfs = root["rootfs"].string();
  state.pid = root["pid"].unsigned_integer(0, INT32_MAX);
  state.status = root["status"].required("a string").string();
  state.created_ns = root["created_ns"].unsigned_integer(0, INT64_MAX);
  state.started_ns = root["started_ns"].unsigned_integer(0, INT64_MAX);
  state.ended_ns = root["ended_ns"].unsigned_integer(0, INT64_MAX);
  state.ephemeral = root["ephemeral"].boolean();
  state.image = root["image"].string();
  state.pod = root["pod"].string();
  state.command = root["command"].strings();
  state.cgroups = root["cgroups"].strings();
  if (const container::JsonNode end = root["end"]; end.present()) state.end = read_end(end);
  for (const auto& [name, value] : root["annotations"].members()) {
    state.annotations[name] = value.string();
  }
  if (reader->error()) return Fail{*reader->error()};
  return state;
}

std::string oci_state_json(const StoredState& state) {
  rapidjson::StringBuffer buffer;
  rapidjson::PrettyWriter<rapidjson::StringBuffer> json(buffer);
  json.SetIndent(' ', 2);
  json.StartObject();
  write(json, "ociVersion", kOciVersion);
  write(json, "id", state.id);
  json.Key("pid");
  json.Uint64(state.pid);
  write(json, "status", state.status);
  write(json, "bundle", state.bundle);
  if (!state.rootfs.empty()) write(json, "rootfs", state.rootfs);
  write(json, "created", rfc3339(state.created_ns));
  // runc: the name of its user, empty where it was not known.
  write(json, "owner", std::string());
  write_annotations(json, state);
  json.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

std::string rfc3339(std::uint64_t since_1970_ns) {
  using std::chrono::nanoseconds;
  const auto since = nanoseconds(std::min<std::uint64_t>(since_1970_ns, INT64_MAX));
  const auto day = std::chrono::floor<std::chrono::days>(since);
  const std::chrono::year_month_day date{std::chrono::sys_days(day)};
  const std::chrono::hh_mm_ss time(since - day);
  char text[64];
  std::snprintf(
      text, sizeof text, "%04d-%02u-%02uT%02ld:%02ld:%02ld.%09ldZ", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      static_cast<long>(time.hours().count()), static_cast<long>(time.minutes().count()),
      static_cast<long>(time.seconds().count()), static_cast<long>(time.subseconds().count()));
  return text;
}

}  // namespace runhv::control
