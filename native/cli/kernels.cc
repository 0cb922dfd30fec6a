#include "cli/kernels.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>

#include "cli/prepare.h"
#include "platform/file.h"

namespace runhv {
namespace {

constexpr std::size_t kMostNameBytes = 64;

bool is_name(std::string_view text) {
  const bool allowed = std::ranges::all_of(text, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  });
  return allowed && !text.empty() && text.size() <= kMostNameBytes && text.front() != '.' &&
         text.front() != '-';
}

Fail<Error> bad(const std::string& detail) {
  return Fail{Error{Code::kInvalidArgument, "kernels", detail}};
}

Result<std::string> read_name(std::string_view text) {
  if (is_name(text)) return std::string(text);
  return bad("name \"" + std::string(text) +
             "\": 1 to 64 of A-Z a-z 0-9 _ . - are possible, first a letter, digit or _");
}

struct KernelsOptions {
  std::string verb = "list";
  std::string name;
  std::string image;
  std::string modules;
  bool json = false;
};

Result<KernelsOptions> parse_add(std::span<const std::string_view> arguments) {
  KernelsOptions options;
  options.verb = "add";
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    const bool is_image = argument == "--image";
    if (is_image || argument == "--modules") {
      if (++i == arguments.size() || arguments[i].empty()) {
        return bad(std::string(argument) + " needs a value");
      }
      (is_image ? options.image : options.modules) = absolute_path(arguments[i]);
    } else if (argument.starts_with("-") || !options.name.empty()) {
      return bad("add: unexpected " + std::string(argument) + "; see runhv help kernels");
    } else {
      RUNHV_TRY_ASSIGN(options.name, read_name(argument));
    }
  }
  if (options.name.empty() || options.image.empty()) {
    return bad("add needs a NAME and --image FILE; see runhv help kernels");
  }
  return options;
}

Result<KernelsOptions> parse(std::span<const std::string_view> arguments) {
  KernelsOptions options;
  if (arguments.empty()) return options;
  const std::string_view verb = arguments.front();
  const auto rest = arguments.subspan(1);
  if (verb == "add") return parse_add(rest);
  if (verb == "remove") {
    if (rest.size() != 1) return bad("remove takes one NAME");
    options.verb = "remove";
    RUNHV_TRY_ASSIGN(options.name, read_name(rest.front()));
    return options;
  }
  if (verb != "--json" || !rest.empty()) {
    return bad("unexpected " + std::string(verb == "--json" ? rest.front() : verb) +
               "; see runhv help kernels");
  }
  options.json = true;
  return options;
}

}  // namespace

Result<ChosenKernel> choose_kernel(std::string_view named, const std::string& share) {
  if (named.find_first_of("/\\") != std::string_view::npos) {
    return ChosenKernel{absolute_path(named), ""};
  }
  const std::string name(named);
  if (is_name(named)) {
    if (std::string own = share + "/vmlinux-" + name; file_exists(own)) {
      return ChosenKernel{std::move(own), ""};
    }
    RUNHV_TRY_ASSIGN(const std::string store, store_directory());
    const std::string folder = store + "/kernels/" + name;
    const std::string modules = folder + "/modules.cpio";
    if (file_exists(folder + "/kernel")) {
      return ChosenKernel{folder + "/kernel", file_exists(modules) ? modules : ""};
    }
  }
  return Fail{Error{Code::kNotFound, "find kernel " + name,
                    "the catalogue has none of this name (runhv kernels lists it); a file is named "
                    "with a slash, as in ./vmlinux"}};
}

Result<std::string> kernels_request(std::span<const std::string_view> arguments,
                                    const std::string& store) {
  RUNHV_TRY_ASSIGN(const KernelsOptions options, parse(arguments));
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> json(buffer);
  const auto write = [&json](const char* key, const std::string& value) {
    if (value.empty()) return;
    json.Key(key);
    json.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
  };
  json.StartObject();
  json.Key("version");
  json.Int(1);
  write("verb", "kernels-" + options.verb);
  write("store", store);
  write("name", options.name);
  write("kernel", options.image);
  write("modules", options.modules);
  json.Key("json");
  json.Bool(options.json);
  json.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize());
}

}  // namespace runhv
