#include "devices/exitport/exit_port.h"

namespace runhv::devices {

std::uint64_t ExitPort::read(std::uint64_t, unsigned) { return UINT64_MAX; }

bool ExitPort::write(std::uint64_t offset, unsigned size_bytes, std::uint64_t value) {
  if (size_bytes != 1) return true;
  if (offset == RUNHV_PORT_EXIT - kFirstPort) events_.on_power_off();
  if (offset == RUNHV_PORT_STAGE - kFirstPort) events_.on_stage(static_cast<std::uint8_t>(value));
  return true;
}

}  // namespace runhv::devices
