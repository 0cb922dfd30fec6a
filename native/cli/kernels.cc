#include "cli/kernels.h"

#include "base/text.h"
#include "cli/json_request.h"
#include "cli/prepare.h"
#include "platform/file.h"

namespace runhv::cli {
namespace {

constexpr std::size_t kMostNameBytes = 64;

Result<std::string> read_kernel_name(std::string_view text) {
  if (is_name(text, kMostNameBytes)) return std::string(text);
  return invalid_argument(
      "kernels", "name \"" + std::string(text) +
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
        return invalid_argument("kernels", std::string(argument) + " needs a value");
      }
      (is_image ? options.image : options.modules) = absolute_path(arguments[i]);
    } else if (argument.starts_with("-") || !options.name.empty()) {
      return invalid_argument(
          "kernels", "add: unexpected " + std::string(argument) + "; see runhv help kernels");
    } else {
      RUNHV_TRY_ASSIGN(options.name, read_kernel_name(argument));
    }
  }
  if (options.name.empty() || options.image.empty()) {
    return invalid_argument("kernels", "add needs a NAME and --image FILE; see runhv help kernels");
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
    if (rest.size() != 1) return invalid_argument("kernels", "remove takes one NAME");
    options.verb = "remove";
    RUNHV_TRY_ASSIGN(options.name, read_kernel_name(rest.front()));
    return options;
  }
  if (verb != "--json" || !rest.empty()) {
    return invalid_argument("kernels", "unexpected " +
                                           std::string(verb == "--json" ? rest.front() : verb) +
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
  if (is_name(named, kMostNameBytes)) {
    if (std::string own = share + "/vmlinux-" + name; platform::file_exists(own)) {
      return ChosenKernel{std::move(own), ""};
    }
    RUNHV_TRY_ASSIGN(const std::string store, store_directory());
    const std::string folder = store + "/kernels/" + name;
    const std::string modules = folder + "/modules.cpio";
    if (platform::file_exists(folder + "/kernel")) {
      return ChosenKernel{folder + "/kernel", platform::file_exists(modules) ? modules : ""};
    }
  }
  return Fail{Error{Code::kNotFound, "find kernel " + name,
                    "the catalogue has none of this name (runhv kernels lists it); a file is named "
                    "with a slash, as in ./vmlinux"}};
}

Result<std::string> kernels_request(std::span<const std::string_view> arguments,
                                    const std::string& store) {
  RUNHV_TRY_ASSIGN(const KernelsOptions options, parse(arguments));
  JsonRequest request("kernels");
  request.json().Key("version");
  request.json().Int(1);
  request.write("verb", "kernels-" + options.verb);
  request.write("store", store);
  request.write_unless_empty("name", options.name);
  request.write_unless_empty("kernel", options.image);
  request.write_unless_empty("modules", options.modules);
  request.json().Key("json");
  request.json().Bool(options.json);
  return request.finish();
}

}  // namespace runhv::cli
