#include "cli/prepare.h"

#include <rapidjson/document.h>

#include <algorithm>
#include <filesystem>

#include "cli/json_request.h"
#include "platform/path.h"
#include "platform/process.h"
#include "platform/user_folders.h"

namespace runhv::cli {
namespace {

// A bare NAME takes the value of our environment and falls away where there is none, as docker has
// it.
std::vector<std::string> resolved(const std::vector<std::string>& variables) {
  std::vector<std::string> all;
  for (const std::string& variable : variables) {
    if (variable.find('=') != std::string::npos) {
      all.push_back(variable);
    } else if (const std::string value = platform::environment(variable.c_str()); !value.empty()) {
      all.push_back(variable + "=" + value);
    }
  }
  return all;
}

std::string text_member(const rapidjson::Value& object, const char* name) {
  const auto found = object.FindMember(name);
  if (found == object.MemberEnd() || !found->value.IsString()) return "";
  return {found->value.GetString(), found->value.GetStringLength()};
}

std::string one_line(std::string_view text) {
  std::string line;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view words = text.substr(0, end);
    if (!words.empty()) line += (line.empty() ? "" : "; ") + std::string(words);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return line;
}

}  // namespace

std::string absolute_path(std::string_view path) {
  std::error_code failure;
  const auto whole = std::filesystem::absolute(platform::filesystem_path(path), failure);
  return failure ? std::string(path) : platform::path_text(whole.lexically_normal());
}

Result<std::string> absolute_image(std::string_view image) {
  for (const std::string_view kind : {"oci:", "oci-archive:", "docker-archive:"}) {
    if (!image.starts_with(kind)) continue;
    const std::string_view path = image.substr(kind.size());
    if (path.empty()) {
      return Fail{Error{Code::kInvalidArgument, "find image " + std::string(image),
                        "expected a path: oci:DIR[:TAG], oci-archive:FILE[:TAG] or "
                        "docker-archive:FILE[:NAME]"}};
    }
    return std::string(kind) + absolute_path(path);
  }
  return std::string(image);
}

Result<std::string> prepare_request(const RunOptions& options, const std::string& image,
                                    const PreparePlaces& places) {
  JsonRequest request("prepare the image");
  auto& json = request.json();
  json.Key("version");
  json.Int(1);
  request.write("verb", std::string("prepare"));
  request.write("id", options.id);
  request.write("image", image);
  request.write("pull", options.pull);
  request.write("store", places.store);
  request.write("bundle", places.bundle);
  request.write("environment", resolved(options.environment));
  request.write_unless_empty("cwd", options.cwd);
  request.write_unless_empty("user", options.user);
  if (options.entrypoint) request.write("entrypoint", *options.entrypoint);
  if (!options.arguments.empty()) request.write("arguments", options.arguments);
  request.write_unless_empty("hostname", options.hostname);
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
  if (!options.sysctls.empty()) request.write("sysctls", options.sysctls);
  request.write_unless_empty("kernel", options.kernel);
  request.write_unless_empty("modules", options.modules);
  json.Key("stdin");
  json.Bool(options.interactive);
  request.write("engine", options.engine);
  json.Key("progress");
  json.Bool(places.progress);
  return request.finish();
}

Result<std::string> read_answer(const platform::Captured& answer, const char* member,
                                const std::string& operation) {
  rapidjson::Document json;
  json.Parse<rapidjson::kParseIterativeFlag>(answer.output.data(), answer.output.size());
  if (!json.HasParseError() && json.IsObject()) {
    if (answer.exit_status == 0 && json.HasMember(member)) return text_member(json, member);
    const auto error = json.FindMember("error");
    if (error != json.MemberEnd() && error->value.IsObject()) {
      return Fail{Error{Code::kHostFailed, text_member(error->value, "operation"),
                        text_member(error->value, "detail")}};
    }
  }
  std::string why = one_line(answer.early_errors);
  if (!why.empty()) why = ": " + why;
  return Fail{Error{Code::kHostFailed, operation,
                    "the Java side ended with status " + std::to_string(answer.exit_status) +
                        " and gave no answer" + why}};
}

Result<std::string> store_directory() {
  if (const std::string store = platform::environment("RUNHV_STORE"); !store.empty()) {
    return absolute_path(store);
  }
  const auto folder = platform::data_folder("runhv");
  if (folder) return absolute_path(*folder);
  return Fail{Error{folder.error().code, "find the store",
                    folder.error().detail + ", and RUNHV_STORE is not"}};
}

}  // namespace runhv::cli
