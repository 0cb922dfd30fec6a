// conformance_test: asks the implementation of WHP that is here whether it does what we believe.
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "conformance/case.h"
#include "conformance/report.h"
#include "platform/system_name.h"
#include "whpapi/whp.h"

namespace runhv::conformance {
namespace {

// The longest case takes a second on one core under ThreadSanitizer.
constexpr std::chrono::seconds kPatience{120};

constexpr const char* kUsage =
    "usage: conformance_test [--list] [--filter PATTERN] [--skip PATTERN] [--report FILE]\n"
    "  PATTERN: Group.Name, * for any letters; several are parted by :\n"
    "  --report FILE: the outcome of each case as JSON. A case that brings the program down is\n"
    "  \"not finished\" there: give its name to --skip and run again.\n";

bool matches(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern.front() == '*') {
    return matches(pattern.substr(1), text) || (!text.empty() && matches(pattern, text.substr(1)));
  }
  return !text.empty() && pattern.front() == text.front() &&
         matches(pattern.substr(1), text.substr(1));
}

bool matches_any(std::string_view patterns, std::string_view text) {
  for (;;) {
    const auto end = patterns.find(':');
    if (matches(patterns.substr(0, end), text)) return true;
    if (end == std::string_view::npos) return false;
    patterns.remove_prefix(end + 1);
  }
}

std::string name_of(const Case& one) {
  return std::string(one.group) + "." + std::string(one.name);
}

// Ends the program where a case does not: a Run that never returns cannot be left.
class Watch {
 public:
  Watch() : thread_([this] { watch(); }) {}
  ~Watch() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void begin(Report& report, std::size_t index, std::string name) {
    const std::lock_guard lock(mutex_);
    report_ = &report;
    index_ = index;
    name_ = std::move(name);
    until_ = std::chrono::steady_clock::now() + kPatience;
    changed_.notify_all();
  }
  void end() {
    const std::lock_guard lock(mutex_);
    report_ = nullptr;
  }

 private:
  void watch() {
    std::unique_lock lock(mutex_);
    while (!over_) {
      if (report_ == nullptr) {
        changed_.wait(lock);
      } else if (changed_.wait_until(lock, until_) == std::cv_status::timeout &&
                 report_ != nullptr && std::chrono::steady_clock::now() >= until_) {
        report_->hung(index_);
        std::printf("hung     %s\n", name_.c_str());
        std::fflush(stdout);
        std::_Exit(3);
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  Report* report_ = nullptr;  // of the case that runs; null: none
  std::size_t index_ = 0;
  std::string name_;
  std::chrono::steady_clock::time_point until_;
  std::thread thread_;
};

// Without a hypervisor a run says nothing: it fails as a whole.
bool has_hypervisor() {
  WINBOOL present = FALSE;
  const HRESULT result =
      WHvGetCapability(WHvCapabilityCodeHypervisorPresent, &present, sizeof present, nullptr);
  return SUCCEEDED(result) && present != 0;
}

struct Arguments {
  bool list = false;
  std::string_view filter = "*";
  std::string_view skip;
  std::string_view report;
};

bool parse(const std::vector<std::string_view>& words, Arguments& arguments) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--list") {
      arguments.list = true;
      continue;
    }
    std::string_view* value = nullptr;
    if (words[i] == "--filter") value = &arguments.filter;
    if (words[i] == "--skip") value = &arguments.skip;
    if (words[i] == "--report") value = &arguments.report;
    if (value == nullptr || ++i == words.size()) return false;
    *value = words[i];
  }
  return true;
}

int run_all(const Arguments& arguments) {
  std::vector<const Case*> selected;
  for (const Case& one : cases()) {
    const std::string name = name_of(one);
    if (matches_any(arguments.filter, name) && !matches_any(arguments.skip, name)) {
      selected.push_back(&one);
    }
  }
  if (arguments.list) {
    for (const Case* one : selected) {
      std::printf("%-70s %-10s %s\n", name_of(*one).c_str(), words(one->mark),
                  std::string(one->source).c_str());
    }
    return 0;
  }
  if (selected.empty()) {
    std::fprintf(stderr, "conformance_test: no case is called so; --list shows all\n");
    return 2;
  }
  if (!has_hypervisor()) {
    std::fprintf(stderr,
                 "conformance_test: no hypervisor is here: on Linux set RUNHV_SOFTCPU to "
                 "librunhv-softcpu.so (made by tools/build_engine), on Windows enable the feature "
                 "HypervisorPlatform\n");
    return 2;
  }

  Report report(std::string(arguments.report), platform::system_name(), selected);
  Watch watch;
  for (std::size_t index = 0; index < selected.size(); ++index) {
    const std::string name = name_of(*selected[index]);
    report.begin(index);
    watch.begin(report, index, name);
    const Outcome outcome = run_case(*selected[index]);
    watch.end();
    report.end(index, outcome);
    const bool failed = !outcome.failures.empty();
    std::printf("%s %s\n",
                failed                    ? "FAILED  "
                : outcome.skipped.empty() ? "passed  "
                                          : "skipped ",
                name.c_str());
    for (const std::string& failure : outcome.failures) std::printf("    %s\n", failure.c_str());
    if (!failed && !outcome.skipped.empty()) std::printf("    %s\n", outcome.skipped.c_str());
    std::fflush(stdout);
  }
  std::printf("%zu cases: %zu passed, %zu failed, %zu skipped\n", selected.size(),
              report.count("passed"), report.count("failed"), report.count("skipped"));
  if (!report.is_written()) {
    std::fprintf(stderr, "conformance_test: write the report %s: it could not be written whole\n",
                 std::string(arguments.report).c_str());
    return 2;
  }
  return report.count("failed") == 0 ? 0 : 1;
}

}  // namespace
}  // namespace runhv::conformance

int main(int argc, char** argv) {
  runhv::conformance::Arguments arguments;
  if (!runhv::conformance::parse({argv + 1, argv + argc}, arguments)) {
    std::fputs(runhv::conformance::kUsage, stderr);
    return 2;
  }
  return runhv::conformance::run_all(arguments);
}
