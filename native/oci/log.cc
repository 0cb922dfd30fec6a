#include "oci/log.h"

#include <cctype>
#include <fstream>
#include <string_view>

#include "container/json_writer.h"
#include "control/state_file.h"
#include "platform/clock.h"
#include "platform/complain.h"
#include "platform/path.h"

namespace runhv::oci {
namespace {

const char* name(Level level) { return level == Level::kError ? "error" : "warning"; }

std::string entry(const Globals& globals, Level level, const std::string& words) {
  const std::string time = control::rfc3339(platform::realtime_ns());
  if (globals.log_json) {
    container::JsonWriter json;
    json.object([&] {
      json.member("level", name(level));
      json.member("msg", words);
      json.member("time", time);
    });
    return json.text() + "\n";
  }
  return "time=\"" + time + "\" level=" + name(level) + " msg=" + container::json_string(words) +
         "\n";
}

}  // namespace

std::string words(const Error& error) {
  constexpr std::string_view kRun = "run ";
  const bool is_absent = error.code == Code::kNotFound;
  const bool is_of_a_program = (is_absent || error.code == Code::kAccessDenied) &&
                               error.domain == Domain::kGuestErrno &&
                               error.operation.starts_with(kRun);
  if (!is_of_a_program) return to_string(error);
  const std::string program = error.operation.substr(kRun.size());
  Error said = error;
  said.operation = "exec: \"" + program + "\"";
  if (is_absent && program.find('/') == std::string::npos) {
    said.detail = "executable file not found in $PATH";
  } else if (is_absent) {
    said.detail = "stat " + program + ": no such file or directory";
  } else {
    // Go has the same texts in small letters.
    said.detail[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(said.detail[0])));
  }
  return to_string(said);
}

void report(const Globals& globals, Level level, const Error& error) {
  const std::string said = words(error);
  platform::complain(level == Level::kWarning ? "warning: " + said : said);
  if (globals.log.empty()) return;
  std::ofstream file(platform::filesystem_path(globals.log), std::ios::app);
  file << entry(globals, level, said) << std::flush;
  if (!file) platform::complain("--log " + globals.log + ": it cannot be written");
}

}  // namespace runhv::oci
