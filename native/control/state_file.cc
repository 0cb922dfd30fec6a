#include "control/state_file.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "container/json_reader.h"
#include "container/json_writer.h"

namespace runhv::control {
namespace {

constexpr std::uint64_t kVersion = 1;
constexpr const char* kOciVersion = "1.2.0";

template <class Json>
void write_annotations(Json& json, const StoredState& state) {
  json.object("annotations", [&] {
    for (const auto& [name, value] : state.annotations) json.member(name, value);
  });
}

template <class Json>
void write_oci_state(Json& json, const StoredState& state, const std::string& owner) {
  json.object([&] {
    json.member("ociVersion", kOciVersion);
    json.member("id", state.id);
    json.member("pid", state.pid);
    json.member("status", state.status);
    json.member("bundle", state.bundle);
    if (!state.rootfs.empty()) json.member("rootfs", state.rootfs);
    json.member("created", rfc3339(state.created_ns));
    if (!owner.empty()) json.member("owner", owner);
    write_annotations(json, state);
  });
}

void write_end(container::JsonWriter& json, const StoredEnd& end) {
  json.object("end", [&] {
    json.member("kind", end.kind);
    json.member("value", end.value);
    if (end.reason) {
      json.member("code", static_cast<std::int32_t>(end.reason->code));
      json.member("operation", end.reason->operation);
      json.member("reason", end.reason->detail);
    }
  });
}

void write_users(container::JsonWriter& json, const StoredUsers& users) {
  json.object("users", [&] {
    json.member("uid_map", users.uid_map);
    json.member("gid_map", users.gid_map);
  });
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
  container::JsonWriter json;
  json.object([&] {
    json.member("version", kVersion);
    json.member("id", state.id);
    json.member("bundle", state.bundle);
    if (!state.rootfs.empty()) json.member("rootfs", state.rootfs);
    json.member("pid", state.pid);
    json.member("status", state.status);
    json.member("created_ns", state.created_ns);
    json.member("started_ns", state.started_ns);
    json.member("ended_ns", state.ended_ns);
    json.member("ephemeral", state.ephemeral);
    if (!state.image.empty()) json.member("image", state.image);
    if (!state.pod.empty()) json.member("pod", state.pod);
    json.member("command", state.command);
    if (!state.cgroups.empty()) json.member("cgroups", state.cgroups);
    if (!state.scope.empty()) json.member("scope", state.scope);
    if (state.users) write_users(json, *state.users);
    if (state.end) write_end(json, *state.end);
    write_annotations(json, state);
  });
  return json.text() + "\n";
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
  state.scope = root["scope"].string();
  if (const container::JsonNode users = root["users"]; users.present()) {
    state.users = StoredUsers{users["uid_map"].string(), users["gid_map"].string()};
  }
  if (const container::JsonNode end = root["end"]; end.present()) state.end = read_end(end);
  for (const auto& [name, value] : root["annotations"].members()) {
    state.annotations[name] = value.string();
  }
  if (reader->error()) return Fail{*reader->error()};
  return state;
}

std::string oci_state_json(const StoredState& state, const std::string& owner) {
  container::IndentedJsonWriter json;
  write_oci_state(json, state, owner);
  return json.text() + "\n";
}

std::string oci_state_line(const StoredState& state, const std::string& owner) {
  container::JsonWriter json;
  write_oci_state(json, state, owner);
  return json.text();
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
