// What the guest's console says, as lines that nobody can take for runhv's own.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace runhv::devices {

// Each line begins with "guest: ", and control characters in it, all but tabs, are escaped
// (base/text.h). Threads: one at a time.
class ConsoleText {
 public:
  // A longer line is shown in pieces, each marked as a line.
  static constexpr std::size_t kLongLineBytes = 1024;

  // The lines that are whole with `text`. The rest waits: Linux gives its console 16 bytes at a
  // time, and other lines come between.
  std::string add(std::string_view text);
  // The last line, where the guest has not ended it.
  std::string finish();

 private:
  void add_byte(char byte, std::string& shown);
  void show(std::size_t size, std::string& shown);
  std::string line_;
  bool continues_ = false;  // line_ follows a piece of the same line
};

}  // namespace runhv::devices
