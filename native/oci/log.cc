#include "oci/log.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <fstream>

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

void report(const Globals& globals, Level level, const Error& error) {
  const std::string words = to_string(error);
  platform::complain(level == Level::kWarning ? "warning: " + words : words);
  if (globals.log.empty()) return;
  std::ofstream file(globals.log, std::ios::app);
  file << entry(globals, level, words) << std::flush;
  if (!file) platform::complain("--log " + globals.log + ": it cannot be written");
}

}  // namespace runhv::oci
