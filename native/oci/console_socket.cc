#include "oci/console_socket.h"

#include <array>

#include "base/bytes.h"
#include "platform/os_error.h"

namespace runhv::oci {

Result<Console> Console::open(const std::string& path) {
  RUNHV_TRY_ASSIGN(platform::LocalConnection connection, platform::LocalConnection::connect(path));
  RUNHV_TRY_ASSIGN(platform::PseudoTerminal terminal, platform::make_pseudo_terminal());
  RUNHV_TRY(platform::make_terminal_raw(terminal.slave.get()));
  return Console(std::move(connection), std::move(terminal));
}

Result<void> Console::send_master() {
  const std::array<platform::OsHandle, 1> master{terminal_.master.get()};
  const platform::IoResult sent =
      connection_.send(as_bytes(std::string_view(terminal_.master_name)), master);
  if (sent.status != platform::IoStatus::kDone || sent.bytes != terminal_.master_name.size()) {
    return Fail{platform::os_error("send the terminal over the console socket", sent.os_code)};
  }
  // Who reads the master sees its end only where nobody else has it.
  terminal_.master.reset();
  return {};
}

}  // namespace runhv::oci
