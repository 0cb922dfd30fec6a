#include "cli/java_runtime.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <vector>

#include "platform/file.h"
#include "platform/path.h"
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

const bool kWindows = platform::this_system() == platform::System::kWindows;

std::string program_in(const std::string& home) {
  return home + (kWindows ? "\\bin\\java.exe" : "/bin/java");
}

bool is_new_enough(const std::string& home) {
  if (home.empty() || !platform::file_exists(program_in(home))) return false;
  return java_major_version(text_of(home + "/release")).value_or(0) >= kLeastJava;
}

std::string home_of(const std::string& program) {
  return platform::path_text(platform::filesystem_path(program).parent_path().parent_path());
}

std::vector<std::string> homes_below(const std::string& folder) {
  std::vector<std::string> homes;
  std::error_code ignored;
  for (std::filesystem::directory_iterator entry(platform::filesystem_path(folder), ignored), end;
       !ignored && entry != end; entry.increment(ignored)) {
    homes.push_back(platform::path_text(entry->path()));
  }
  std::ranges::sort(homes, std::greater());
  return homes;
}

// Where installers put a JDK each.
std::vector<std::string> usual_folders() {
  if (!kWindows) {
    return {"/usr/lib/jvm", "/opt", platform::environment("HOME") + "/.sdkman/candidates/java"};
  }
  const std::string programs = platform::environment("ProgramFiles");
  if (programs.empty()) return {};
  return {programs + "\\Eclipse Adoptium", programs + "\\Java", programs + "\\Microsoft"};
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
  for (const std::string& folder : usual_folders()) {
    for (const std::string& home : homes_below(folder)) {
      if (is_new_enough(home)) return program_in(home);
    }
  }
  return Fail{Error{Code::kNotFound, "find Java",
                    "an image needs Java " + std::to_string(kLeastJava) +
                        " or newer, and there is none in JAVA_HOME, PATH or " +
                        (kWindows ? "%ProgramFiles%" : "/usr/lib/jvm") +
                        ": install one and set JAVA_HOME"}};
}

}  // namespace runhv::cli
