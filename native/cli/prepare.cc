#include "cli/prepare.h"

#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <filesystem>

#include "platform/process.h"

namespace runhv {
namespace {

using JsonWriter = rapidjson::Writer<rapidjson::StringBuffer>;

std::string absolute_path(std::string_view path) {
  std::error_code failure;
  const std::filesystem::path whole = std::filesystem::absolute(path, failure);
  return failure ? std::string(path) : whole.lexically_normal().string();
}

void write(JsonWriter& json, const char* key, const std::string& value) {
  json.Key(key);
  json.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
}

void write_unless_empty(JsonWriter& json, const char* key, const std::string& value) {
  if (!value.empty()) write(json, key, value);
}

void write(JsonWriter& json, const char* key, const std::vector<std::string>& values) {
  json.Key(key);
  json.StartArray();
  for (const std::string& value : values) {
    json.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
  }
  json.EndArray();
}

// A bare NAME takes the value of our environment and falls away where there is none, as docker has
// it.
std::vector<std::string> resolved(const std::vector<std::string>& variables) {
  std::vector<std::string> all;
  for (const std::string& variable : variables) {
    if (variable.find('=') != std::string::npos) {
      all.push_back(variable);
    } else if (const std::string value = environment(variable.c_str()); !value.empty()) {
      all.push_back(variable + "=" + value);
    }
  }
  return all;
}

std::string member(const rapidjson::Value& object, const char* name) {
  const auto found = object.FindMember(name);
  if (found == object.MemberEnd() || !found->value.IsString()) return "";
  return {found->value.GetString(), found->value.GetStringLength()};
}

}  // namespace

Result<std::string> absolute_image(std::string_view image) {
  for (const std::string_view kind : {"oci:", "oci-archive:", "docker-archive:"}) {
    if (!image.starts_with(kind)) continue;
    const std::string_view path = image.substr(kind.size());
    if (path.empty()) break;
    return std::string(kind) + absolute_path(path);
  }
  return Fail{Error{
      Code::kInvalidArgument, "find image " + std::string(image),
      "expected oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME]; registries "
      "are not in this version: skopeo copy docker://NAME oci:DIR:TAG fetches an image"}};
}

std::string prepare_request(const RunOptions& options, const std::string& image,
                            const PreparePlaces& places) {
  rapidjson::StringBuffer buffer;
  JsonWriter json(buffer);
  json.StartObject();
  json.Key("version");
  json.Int(1);
  write(json, "verb", std::string("prepare"));
  write(json, "id", options.id);
  write(json, "image", image);
  write(json, "store", places.store);
  write(json, "bundle", places.bundle);
  write(json, "environment", resolved(options.environment));
  write_unless_empty(json, "cwd", options.cwd);
  write_unless_empty(json, "user", options.user);
  if (options.entrypoint) write(json, "entrypoint", *options.entrypoint);
  if (!options.arguments.empty()) write(json, "arguments", options.arguments);
  write_unless_empty(json, "hostname", options.hostname);
  if (options.memory_bytes) {
    json.Key("memory_bytes");
    json.Uint64(*options.memory_bytes);
  }
  if (options.cpus) {
    json.Key("cpus");
    json.Uint(*options.cpus);
  }
  if (options.scratch_bytes) {
    json.Key("scratch_bytes");
    json.Uint64(*options.scratch_bytes);
  }
  if (!options.kernel.empty()) write(json, "kernel", absolute_path(options.kernel));
  json.Key("stdin");
  json.Bool(options.interactive);
  write(json, "engine", options.engine);
  json.Key("progress");
  json.Bool(places.progress);
  json.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize());
}

Result<std::string> read_prepare_answer(std::string_view answer, int process_status) {
  rapidjson::Document json;
  json.Parse<rapidjson::kParseIterativeFlag>(answer.data(), answer.size());
  if (!json.HasParseError() && json.IsObject()) {
    const std::string bundle = member(json, "bundle");
    if (process_status == 0 && !bundle.empty()) return bundle;
    const auto error = json.FindMember("error");
    if (error != json.MemberEnd() && error->value.IsObject()) {
      return Fail{Error{Code::kHostFailed, member(error->value, "operation"),
                        member(error->value, "detail")}};
    }
  }
  return Fail{Error{Code::kHostFailed, "prepare the image",
                    "internal error: the Java side ended with status " +
                        std::to_string(process_status) + " and gave no answer"}};
}

Result<std::string> store_directory() {
  if (const std::string store = environment("RUNHV_STORE"); !store.empty()) {
    return absolute_path(store);
  }
  if (const std::string data = environment("XDG_DATA_HOME"); !data.empty()) return data + "/runhv";
  if (const std::string home = environment("HOME"); !home.empty()) {
    return home + "/.local/share/runhv";
  }
  return Fail{Error{Code::kInvalidArgument, "find the store",
                    "none of RUNHV_STORE, XDG_DATA_HOME and HOME is set"}};
}

}  // namespace runhv
