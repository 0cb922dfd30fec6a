// Short texts of a fixed room: names of steps, mount options, paths. What does not fit is cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace runhv::agent {

template <std::size_t kRoom>
class Text {
 public:
  Text() = default;
  explicit Text(std::string_view text) { add(text); }

  Text& add(std::string_view text) {
    for (const char c : text) {
      if (size_ + 1 >= kRoom) {
        cut_ = true;
        break;
      }
      chars_[size_++] = c;
    }
    chars_[size_] = '\0';
    return *this;
  }
  // Bytes of an image's or a container's choice: what a terminal would obey is a '?'.
  Text& add_printable(std::string_view text) {
    for (const char c : text) {
      const char shown = c >= ' ' && c <= '~' ? c : '?';
      add(std::string_view(&shown, 1));
    }
    return *this;
  }
  Text& add_number(std::uint64_t value) {
    char digits[20];
    std::size_t count = 0;
    do {
      digits[count++] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    while (count != 0) add(std::string_view(&digits[--count], 1));
    return *this;
  }
  void clear() {
    size_ = 0;
    cut_ = false;
    chars_[0] = '\0';
  }

  const char* c_str() const { return chars_; }
  std::size_t size() const { return size_; }
  bool cut() const { return cut_; }
  std::string_view view() const { return {chars_, size_}; }

 private:
  char chars_[kRoom] = {};
  std::size_t size_ = 0;
  bool cut_ = false;
};

}  // namespace runhv::agent
