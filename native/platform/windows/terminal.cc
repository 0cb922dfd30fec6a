#include "platform/terminal.h"

#include <utility>

#include "platform/os_error.h"
#include "platform/windows/system.h"

namespace runhv::platform {
namespace {

constexpr DWORD kLineModes =
    ENABLE_ECHO_INPUT | ENABLE_LINE_INPUT | ENABLE_PROCESSED_INPUT | ENABLE_MOUSE_INPUT;
// Keys as the sequences of a terminal, and the window's size as an event (blocking_io.cc).
constexpr DWORD kRawModes = ENABLE_VIRTUAL_TERMINAL_INPUT | ENABLE_WINDOW_INPUT;

// A console's input and output are two things here, and callers have the one or the other.
HANDLE console_output() { return ::GetStdHandle(STD_OUTPUT_HANDLE); }

}  // namespace

std::optional<TerminalSize> terminal_size(OsHandle terminal) {
  DWORD mode = 0;
  if (!::GetConsoleMode(native(terminal), &mode)) return std::nullopt;
  CONSOLE_SCREEN_BUFFER_INFO info{};
  if (!::GetConsoleScreenBufferInfo(native(terminal), &info) &&
      !::GetConsoleScreenBufferInfo(console_output(), &info)) {
    return std::nullopt;
  }
  const int columns = info.srWindow.Right - info.srWindow.Left + 1;
  const int rows = info.srWindow.Bottom - info.srWindow.Top + 1;
  if (columns <= 0 || rows <= 0) return std::nullopt;
  return TerminalSize{static_cast<std::uint16_t>(columns), static_cast<std::uint16_t>(rows)};
}

Result<PseudoTerminal> make_pseudo_terminal() {
  return Fail{Error{Code::kUnsupported, "make a pseudo-terminal",
                    "on Windows a console belongs to the process that shows it"}};
}

Result<void> make_terminal_raw(OsHandle terminal) {
  const char* operation = "set a console's mode";
  DWORD mode = 0;
  if (!::GetConsoleMode(native(terminal), &mode) ||
      !::SetConsoleMode(native(terminal), (mode & ~kLineModes) | kRawModes)) {
    return Fail{last_os_error(operation)};
  }
  // The container's programs write for a terminal of Linux, in UTF-8.
  ::SetConsoleOutputCP(CP_UTF8);
  if (::GetConsoleMode(console_output(), &mode)) {
    ::SetConsoleMode(console_output(), mode | ENABLE_PROCESSED_OUTPUT |
                                           ENABLE_VIRTUAL_TERMINAL_PROCESSING |
                                           DISABLE_NEWLINE_AUTO_RETURN);
  }
  return {};
}

struct TerminalMode::Saved {
  UniqueHandle terminal;
  DWORD mode;
  std::optional<DWORD> output_mode;
  UINT output_code_page;
};

Result<TerminalMode> TerminalMode::save(OsHandle terminal) {
  const char* operation = "read a console's mode";
  HANDLE copy = nullptr;
  Saved saved{{}, 0, std::nullopt, ::GetConsoleOutputCP()};
  DWORD output_mode = 0;
  if (!::GetConsoleMode(native(terminal), &saved.mode) ||
      !::DuplicateHandle(::GetCurrentProcess(), native(terminal), ::GetCurrentProcess(), &copy, 0,
                         FALSE, DUPLICATE_SAME_ACCESS)) {
    return Fail{last_os_error(operation)};
  }
  saved.terminal = own(copy);
  if (::GetConsoleMode(console_output(), &output_mode)) saved.output_mode = output_mode;
  return TerminalMode(std::make_unique<Saved>(std::move(saved)));
}

TerminalMode::TerminalMode(std::unique_ptr<Saved> saved) : saved_(std::move(saved)) {}
TerminalMode::TerminalMode(TerminalMode&& other) noexcept = default;

TerminalMode& TerminalMode::operator=(TerminalMode&& other) noexcept {
  std::swap(saved_, other.saved_);
  return *this;
}

TerminalMode::~TerminalMode() {
  if (!saved_) return;
  ::SetConsoleMode(native(saved_->terminal), saved_->mode);
  ::SetConsoleOutputCP(saved_->output_code_page);
  if (saved_->output_mode) ::SetConsoleMode(console_output(), *saved_->output_mode);
}

}  // namespace runhv::platform
