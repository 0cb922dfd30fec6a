// The terminal of a process whose caller holds the other end (--console-socket).
#pragma once

#include <string>

#include "base/result.h"
#include "platform/local_socket.h"
#include "platform/terminal.h"

namespace runhv::oci {

// A pseudo-terminal whose slave is raw: the guest's is the one that edits lines.
class Console {
 public:
  // Connects to the caller's socket at `path`.
  static Result<Console> open(const std::string& path);

  platform::OsHandle slave() const { return terminal_.slave.get(); }
  // Gives the master away, with its name as the bytes: runc's docs/terminals.md.
  Result<void> send_master();

 private:
  Console(platform::LocalConnection connection, platform::PseudoTerminal terminal)
      : connection_(std::move(connection)), terminal_(std::move(terminal)) {}
  platform::LocalConnection connection_;
  platform::PseudoTerminal terminal_;
};

}  // namespace runhv::oci
