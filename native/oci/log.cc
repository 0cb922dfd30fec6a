#include "oci/log.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cctype>
#include <fstream>
#include <string_view>

#include "base/text.h"
#include "control/state_file.h"
#include "platform/clock.h"
#include "platform/complain.h"

namespace runhv::oci {
namespace {

const char* name(Level level) { return level == Level::kError ? "error" : "warning"; }

std::string entry(const Globals& globals, Level level, const std::string& words) {
  const std::string time = control::rfc3339(platform::realtime_ns());
  if (globals.log_json) {
    return std::string("{\"level\":\"") + name(level) + "\",\"msg\":" + json_string(words) +
           ",\"time\":\"" + time + "\"}\n";
  }
  return "time=\"" + time + "\" level=" + name(level) + " msg=" + json_string(words) + "\n";
}

}  // namespace

std::string json_string(const std::string& text) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> json(buffer);
  const std::string valid = escape_invalid_utf8(text);
  json.String(valid.data(), static_cast<rapidjson::SizeType>(valid.size()));
  return std::string(buffer.GetString(), buffer.GetSize());
}

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
  std::ofstream file(globals.log, std::ios::app);
  file << entry(globals, level, said) << std::flush;
  if (!file) platform::complain("--log " + globals.log + ": it cannot be written");
}

}  // namespace runhv::oci
