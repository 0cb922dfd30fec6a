// The home folder of a user, of whom only the number is known: passwd(5).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "text.h"

namespace runhv::agent {

inline constexpr std::size_t kMaxPasswdBytes = 1 << 20;  // what comes later is not looked at

// The home folder where `line` is that of `uid`, else empty.
inline std::string_view home_of(std::string_view line, std::uint32_t uid) {
  std::string_view fields[6];  // name, password, uid, gid, comment, home; then the shell
  for (std::string_view& field : fields) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return {};
    field = std::string_view(line.data(), colon);
    line.remove_prefix(colon + 1);
  }
  return fields[2] == Text<12>().add_number(uid).view() ? fields[5] : std::string_view();
}

// Takes a file by its parts.
class HomeSearch {
 public:
  explicit HomeSearch(std::uint32_t uid) : uid_(uid) {}

  // False once there is nothing more to find.
  bool take(std::string_view part) {
    taken_ += part.size();
    for (const char& c : part) {
      if (c != '\n') {
        line_.add(std::string_view(&c, 1));
        continue;
      }
      if (end_line()) return false;
    }
    return taken_ < kMaxPasswdBytes;
  }
  // After the last part. Absolute, or empty: there is none.
  std::string_view end() {
    if (home_.view().empty()) end_line();
    return home_.view();
  }

 private:
  bool end_line() {
    const std::string_view home = line_.cut() ? std::string_view() : home_of(line_.view(), uid_);
    if (!home.empty() && home.front() == '/') home_.add(home);
    line_.clear();
    return !home_.view().empty();
  }

  std::uint32_t uid_;
  std::size_t taken_ = 0;
  Text<1024> line_;
  Text<1024> home_;
};

}  // namespace runhv::agent
