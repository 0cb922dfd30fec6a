#include "platform/terminal.h"

#include <csignal>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "platform/os_error.h"

namespace runhv::platform {

std::optional<TerminalSize> terminal_size(OsHandle terminal) {
  winsize size{};
  if (::ioctl(static_cast<int>(terminal), TIOCGWINSZ, &size) != 0 || size.ws_col == 0 ||
      size.ws_row == 0) {
    return std::nullopt;
  }
  return TerminalSize{size.ws_col, size.ws_row};
}

Result<PseudoTerminal> make_pseudo_terminal() {
  const std::string operation = "make a pseudo-terminal";
  PseudoTerminal pair;
  pair.master.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  const int master = static_cast<int>(pair.master.get());
  char name[64];
  if (!pair.master.is_open() || ::grantpt(master) != 0 || ::unlockpt(master) != 0 ||
      ::ptsname_r(master, name, sizeof name) != 0) {
    return Fail{last_os_error(operation)};
  }
  pair.slave.reset(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pair.slave.is_open()) return Fail{last_os_error(operation)};
  pair.master_name = "/dev/ptmx";
  return pair;
}

Result<void> make_terminal_raw(OsHandle terminal) {
  termios mode{};
  if (::tcgetattr(static_cast<int>(terminal), &mode) != 0) {
    return Fail{last_os_error("read a terminal's mode")};
  }
  ::cfmakeraw(&mode);
  if (::tcsetattr(static_cast<int>(terminal), TCSANOW, &mode) != 0) {
    return Fail{last_os_error("set a terminal's mode")};
  }
  return {};
}

struct TerminalMode::Saved {
  UniqueHandle terminal;
  termios mode;
};

Result<TerminalMode> TerminalMode::save(OsHandle terminal) {
  Saved saved{UniqueHandle(::fcntl(static_cast<int>(terminal), F_DUPFD_CLOEXEC, 3)), {}};
  if (!saved.terminal.is_open() ||
      ::tcgetattr(static_cast<int>(saved.terminal.get()), &saved.mode) != 0) {
    return Fail{last_os_error("read a terminal's mode")};
  }
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
  // termios(3): a process in the background is stopped for it otherwise.
  const auto previous = std::signal(SIGTTOU, SIG_IGN);
  ::tcsetattr(static_cast<int>(saved_->terminal.get()), TCSANOW, &saved_->mode);
  std::signal(SIGTTOU, previous);
}

}  // namespace runhv::platform
