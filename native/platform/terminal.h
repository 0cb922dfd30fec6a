// Terminals of the host: pseudo-terminals, their sizes and their modes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "platform/handle.h"

namespace runhv::platform {

struct TerminalSize {
  std::uint16_t columns;
  std::uint16_t rows;
};
// nullopt where the handle is no terminal, or nobody has said its size.
std::optional<TerminalSize> terminal_size(OsHandle terminal);

struct PseudoTerminal {
  UniqueHandle master;
  UniqueHandle slave;
  std::string master_name;
};
Result<PseudoTerminal> make_pseudo_terminal();

// Raw: what is typed comes as it is, and what is shown is not changed.
Result<void> make_terminal_raw(OsHandle terminal);

// Restores the mode that a terminal had, also from the background.
class TerminalMode {
 public:
  static Result<TerminalMode> save(OsHandle terminal);
  TerminalMode(TerminalMode&& other) noexcept;
  TerminalMode& operator=(TerminalMode&& other) noexcept;
  ~TerminalMode();

 private:
  struct Saved;
  explicit TerminalMode(std::unique_ptr<Saved> saved);
  std::unique_ptr<Saved> saved_;  // empty once moved from
};

}  // namespace runhv::platform
