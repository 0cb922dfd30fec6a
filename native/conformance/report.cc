#include "conformance/report.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string_view>
#include <utility>

#include "platform/process.h"

namespace runhv::conformance {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string member(const char* name, std::string_view value) {
  return quoted(name) + ": " + quoted(value);
}

}  // namespace

const char* words(Mark mark) {
  switch (mark) {
    case Mark::kDocumented:
      return "documented";
    case Mark::kReported:
      return "reported";
    case Mark::kBelieved:
      break;
  }
  return "believed";
}

Report::Report(std::string path, std::string system, std::vector<const Case*> selected)
    : path_(std::move(path)), system_(std::move(system)) {
  for (const Case* one : selected) lines_.push_back({.one = one, .detail = {}});
}

void Report::begin(std::size_t index) {
  lines_[index].outcome = "not finished";
  write();
}

void Report::end(std::size_t index, const Outcome& outcome) {
  Line& line = lines_[index];
  if (!outcome.failures.empty()) {
    line.outcome = "failed";
    for (const std::string& failure : outcome.failures) {
      if (!line.detail.empty()) line.detail += '\n';
      line.detail += failure;
    }
  } else if (!outcome.skipped.empty()) {
    line.outcome = "skipped";
    line.detail = outcome.skipped;
  } else {
    line.outcome = "passed";
  }
  write();
}

void Report::hung(std::size_t index) {
  lines_[index].outcome = "hung";
  write();
}

std::size_t Report::count(const char* outcome) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      lines_, [&](const Line& line) { return std::string_view(line.outcome) == outcome; }));
}

void Report::write() {
  if (path_.empty()) return;
  std::ofstream file(path_, std::ios::trunc | std::ios::binary);
  file << "{" << member("system", system_) << ",\n " << member("version", RUNHV_VERSION) << ",\n "
       << member("profile", platform::environment("RUNHV_WHP_PROFILE")) << ",\n \"cases\": [";
  const char* separator = "\n  ";
  for (const Line& line : lines_) {
    file << separator << "{" << member("group", line.one->group) << ", "
         << member("name", line.one->name) << ", " << member("mark", words(line.one->mark)) << ", "
         << member("source", line.one->source) << ", " << member("outcome", line.outcome) << ", "
         << member("detail", line.detail) << "}";
    separator = ",\n  ";
  }
  file << "\n]}\n";
  file.flush();
  written_ = written_ && file.good();
}

}  // namespace runhv::conformance
