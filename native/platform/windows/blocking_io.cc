#include "platform/blocking_io.h"

#include <algorithm>

#include "platform/windows/console_signals.h"
#include "platform/windows/io_result.h"
#include "platform/windows/utf16.h"

namespace runhv::platform {
namespace {

constexpr std::size_t kMostBytes = 1u << 30;  // a call counts in 32 bits
constexpr std::size_t kMostUnits = 4096;      // that are read of a console at once
constexpr wchar_t kEndOfInput = 0x1A;         // Ctrl+Z

bool is_console(HANDLE handle) {
  DWORD mode = 0;
  return ::GetConsoleMode(handle, &mode) != 0;
}

bool is_by_lines(HANDLE console) {
  DWORD mode = 0;
  return ::GetConsoleMode(console, &mode) != 0 && (mode & ENABLE_LINE_INPUT) != 0;
}

// The first half of a character beyond the 65,536 of one unit.
bool ends_in_a_half(const std::wstring& typed) {
  return !typed.empty() && IS_HIGH_SURROGATE(typed.back());
}

// What a key gives. One that is held down is one event with a count.
void append_key(const KEY_EVENT_RECORD& key, std::size_t most, std::wstring& typed) {
  // Alt and the digits of a character: it comes with the end of Alt.
  const bool composed = !key.bKeyDown && key.wVirtualKeyCode == VK_MENU;
  const bool is_null = key.bKeyDown && key.wVirtualKeyCode == VK_SPACE &&
                       (key.dwControlKeyState & (LEFT_CTRL_PRESSED | RIGHT_CTRL_PRESSED)) != 0;
  const wchar_t unit = key.uChar.UnicodeChar;
  if ((!key.bKeyDown && !composed) || (unit == L'\0' && !is_null)) return;
  const std::size_t room = typed.size() < most ? most - typed.size() : 1;
  typed.append(std::min<std::size_t>(std::max<WORD>(key.wRepeatCount, 1), room), unit);
}

// Event by event: ReadConsoleW drops those that tell of the window.
bool read_keys(HANDLE console, std::wstring& typed, std::size_t most) {
  while (typed.size() < most || ends_in_a_half(typed)) {
    INPUT_RECORD record{};
    DWORD count = 0;
    if (!::ReadConsoleInputW(console, &record, 1, &count)) return false;
    if (record.EventType == WINDOW_BUFFER_SIZE_EVENT) tell_signal(kWindowChanged);
    if (record.EventType == KEY_EVENT) append_key(record.Event.KeyEvent, most, typed);
    // The two halves of a character are two events.
    if (typed.empty() || ends_in_a_half(typed)) continue;
    DWORD more = 0;
    if (!::GetNumberOfConsoleInputEvents(console, &more) || more == 0) break;
  }
  return true;
}

bool read_units(HANDLE console, std::wstring& typed, std::size_t most) {
  const std::size_t before = typed.size();
  typed.resize(before + most);
  DWORD count = 0;
  const BOOL read =
      ::ReadConsoleW(console, typed.data() + before, static_cast<DWORD>(most), &count, nullptr);
  typed.resize(before + count);
  return read;
}

// Of a line that is longer the console keeps the rest, and gives it at once.
bool read_line(HANDLE console, std::wstring& typed, std::size_t most) {
  return read_units(console, typed, most) &&
         (!ends_in_a_half(typed) || read_units(console, typed, 1));
}

// What is typed, as UTF-8: ReadFile would give it in the console's code page.
IoResult read_console(HANDLE console, std::span<std::byte> out) {
  // A unit of UTF-16 has at most three bytes of UTF-8; and one more where the last is a half.
  const std::size_t most = std::clamp<std::size_t>(out.size() / 3, 2, kMostUnits + 1) - 1;
  std::wstring typed;
  const bool by_lines = is_by_lines(console);
  if (!(by_lines ? read_line : read_keys)(console, typed, most)) {
    return failed_io(::GetLastError());
  }
  if (typed.empty() || (by_lines && typed[0] == kEndOfInput)) return {IoStatus::kEnd, 0, 0};
  const std::string text = to_utf8(typed);
  const std::size_t size = std::min(text.size(), out.size());
  std::transform(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size), out.begin(),
                 [](char c) { return static_cast<std::byte>(c); });
  return {IoStatus::kDone, size, 0};
}

}  // namespace

IoResult read_waiting(OsHandle handle, std::span<std::byte> out) {
  if (is_console(native(handle))) return read_console(native(handle), out);
  while (true) {
    DWORD count = 0;
    if (!::ReadFile(native(handle), out.data(),
                    static_cast<DWORD>(std::min(out.size(), kMostBytes)), &count, nullptr)) {
      return failed_io(::GetLastError());
    }
    if (count > 0) return {IoStatus::kDone, count, 0};
    // Somebody has written nothing into a pipe: that is not its end, which is an error there. But
    // Wine tells of it so at the end of a pipe of its host, of which it can look at no more.
    const bool goes_on =
        ::GetFileType(native(handle)) == FILE_TYPE_PIPE &&
        ::PeekNamedPipe(native(handle), nullptr, 0, nullptr, nullptr, nullptr) != 0;
    if (!goes_on) return {IoStatus::kEnd, 0, 0};
  }
}

IoResult write_waiting(OsHandle handle, std::span<const std::byte> in) {
  DWORD count = 0;
  if (!::WriteFile(native(handle), in.data(), static_cast<DWORD>(std::min(in.size(), kMostBytes)),
                   &count, nullptr)) {
    return failed_io(::GetLastError());
  }
  // A file that takes nothing of what is not empty has failed.
  if (count == 0) return {IoStatus::kFailed, 0, ERROR_WRITE_FAULT};
  return {IoStatus::kDone, count, 0};
}

}  // namespace runhv::platform
