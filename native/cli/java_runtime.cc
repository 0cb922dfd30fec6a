#include "cli/java_runtime.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <vector>

#include "platform/file.h"
#include "platform/process.h"
#include "platform/system_name.h"

namespace runhv::cli {
namespace {

constexpr std::uint64_t kMaxReleaseBytes = 64 << 10;

std::string text_of(const std::string& path) {
  const auto bytes = platform::read_file(path, kMaxReleaseBytes);
  if (!bytes) return "";
  return {reinterpret_cast<const char*>(bytes->data()), bytes->size()};
}

std::string program_in(const std::string& home) { return home + "/bin/java"; }

bool is_new_enough(const std::string& home) {
  if (home.empty() || !platform::file_exists(program_in(home))) return false;
  return java_major_version(text_of(home + "/release")).value_or(0) >= kLeastJava;
}

std::string home_of(const std::string& program) {
  return std::filesystem::path(program).parent_path().parent_path().string();
}

std::vector<std::string> homes_below(const std::string& folder) {
  std::vector<std::string> homes;
  std::error_code ignored;
  for (std::filesystem::directory_iterator entry(folder, ignored), end; !ignored && entry != end;
       entry.increment(ignored)) {
    homes.push_back(entry->path().string());
  }
  std::ranges::sort(homes, std::greater());
  return homes;
}

}  // namespace

std::optional<int> java_major_version(std::string_view release_file) {
  static constexpr std::string_view kKey = "JAVA_VERSION=\"";
  const std::size_t at = release_file.find(kKey);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view text = release_file.substr(at + kKey.size());
  int major = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), major);
  if (failure != std::errc()) return std::nullopt;
  return major;
}

Result<std::string> find_java() {
  if (platform::this_system() == platform::System::kWindows) {
    return Fail{Error{Code::kUnsupported, "find Java",
                      "images cannot be used on Windows yet; run --bundle needs none of it"}};
  }
  // What the user names is taken or refused, never passed over.
  if (const std::string named = platform::environment("RUNHV_JAVA"); !named.empty()) {
    if (!platform::file_exists(named)) {
      return Fail{Error{Code::kNotFound, "find Java", "RUNHV_JAVA=" + named + " is not there"}};
    }
    const auto version = java_major_version(text_of(home_of(named) + "/release"));
    if (version && *version < kLeastJava) {
      return Fail{Error{Code::kUnsupported, "find Java",
                        "RUNHV_JAVA=" + named + " is Java " + std::to_string(*version) + "; " +
                            std::to_string(kLeastJava) + " or newer is needed"}};
    }
    return named;
  }
  std::vector<std::string> homes{platform::environment("JAVA_HOME")};
  for (const std::string& program : platform::programs_in_path("java"))
    homes.push_back(home_of(program));
  for (const std::string& home : homes) {
    if (is_new_enough(home)) return program_in(home);
  }
  for (const std::string& folder : {std::string("/usr/lib/jvm"), std::string("/opt"),
                                    platform::environment("HOME") + "/.sdkman/candidates/java"}) {
    for (const std::string& home : homes_below(folder)) {
      if (is_new_enough(home)) return program_in(home);
    }
  }
  return Fail{Error{Code::kNotFound, "find Java",
                    "an image needs Java " + std::to_string(kLeastJava) +
                        " or newer, and there is none in JAVA_HOME, PATH or /usr/lib/jvm: install "
                        "one and set JAVA_HOME"}};
}

}  // namespace runhv::cli
