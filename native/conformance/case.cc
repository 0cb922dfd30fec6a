#include "conformance/case.h"

#include <mutex>
#include <sstream>
#include <utility>

#include "conformance/expect.h"

namespace runhv::conformance {
namespace {

std::vector<Case>& all() {
  static std::vector<Case> list;
  return list;
}

std::mutex mutex;  // of the outcome
Outcome outcome;

}  // namespace

Registration::Registration(const Case& one) { all().push_back(one); }

const std::vector<Case>& cases() { return all(); }

void fail(const char* file, int line, const std::string& what) {
  const std::string_view path = file;
  const std::string_view name = path.substr(path.find_last_of("/\\") + 1);
  const std::lock_guard lock(mutex);
  outcome.failures.push_back(std::string(name) + ":" + std::to_string(line) + ": " + what);
}

void skip(std::string why) {
  const std::lock_guard lock(mutex);
  outcome.skipped = std::move(why);
}

bool has_failed() {
  const std::lock_guard lock(mutex);
  return !outcome.failures.empty();
}

Outcome run_case(const Case& one) {
  one.body();
  const std::lock_guard lock(mutex);
  return std::exchange(outcome, {});
}

std::string shown_number(unsigned long long value) {
  std::ostringstream words;
  words << "0x" << std::hex << value;
  return words.str();
}

std::string fault_of(const char* words, const std::string& left, const std::string& right) {
  return std::string(words) + ": " + left + " and " + right;
}

}  // namespace runhv::conformance
