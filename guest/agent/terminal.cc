#include "terminal.h"

#include <asm/termbits.h>
#include <linux/tty.h>
#include <sys/mount.h>

#include "sys.h"

namespace runhv::agent {
namespace {

// asm-generic/ioctls.h; <sys/ioctl.h> cannot be included beside <asm/termbits.h>.
constexpr unsigned long kControllingTerminal = 0x540E;  // TIOCSCTTY
constexpr unsigned long kWindowSize = 0x5414;           // TIOCSWINSZ
constexpr unsigned long kLock = 0x40045431;             // TIOCSPTLCK
constexpr unsigned long kNumber = 0x80045430;           // TIOCGPTN
constexpr unsigned long kPeer = 0x5441;                 // TIOCGPTPEER

struct WindowSize {
  std::uint16_t rows, columns, width, height;
};

bool show_as_console(int terminal, Failure& failure) {
  unsigned number = 0;
  long result = sys::ioctl(terminal, kNumber, &number);
  if (result < 0) return failure.set(result, "ask for the terminal's number");
  const Text<32> path = Text<32>("/dev/pts/").add_number(number);
  const int file = sys::open("/dev/console", O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (file < 0 && file != -EEXIST) return failure.set(file, "make /dev/console");
  if (file >= 0) sys::close(file);
  result = sys::mount(path.c_str(), "/dev/console", nullptr, MS_BIND, nullptr);
  return result == 0 || failure.set(result, "mount the terminal on /dev/console");
}

}  // namespace

int open_terminal(const ProcessRequest& process, bool as_console, Failure& failure) {
  const auto fail = [&](long result, const char* step) {
    failure.set(result, step);
    return -1;
  };
  const int terminal = sys::open("/dev/ptmx", O_RDWR | O_NOCTTY);
  if (terminal < 0) return fail(terminal, "open /dev/ptmx for a terminal");
  const int unlocked = 0;
  long result = sys::ioctl(terminal, kLock, &unlocked);
  if (result < 0) return fail(result, "unlock the terminal");
  const long inside = sys::ioctl(terminal, kPeer, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (inside < 0) return fail(inside, "open the terminal");
  const runhv_stdio& stdio = process.stdio;
  if (stdio.columns != 0 || stdio.rows != 0) {
    result = set_terminal_size(terminal, stdio.columns, stdio.rows);
    if (result < 0) return fail(result, "set the terminal's size");
  }
  result = sys::call(__NR_fchown, inside, process.user.uid, -1);
  if (result < 0) return fail(result, "give the terminal to the process's user");
  if (as_console && !show_as_console(terminal, failure)) return -1;
  for (int stream = 0; stream < 3 && result >= 0; ++stream) {
    result = sys::dup3(static_cast<int>(inside), stream, 0);
  }
  if (result < 0) return fail(result, "attach the terminal");
  sys::close(static_cast<int>(inside));
  return terminal;
}

bool take_terminal(Failure& failure) {
  const long result = sys::ioctl(0, kControllingTerminal, 0);
  return result == 0 || failure.set(result, "take the terminal as the controlling one");
}

long set_terminal_size(int terminal, std::uint16_t columns, std::uint16_t rows) {
  const WindowSize size = {rows, columns, 0, 0};
  return sys::ioctl(terminal, kWindowSize, &size);
}

}  // namespace runhv::agent
