// WinHvEmulation: finishes the instruction of an exit by calls of the client. For clients that have
// no decoder of their own; runhv has one (emu/), and this is a face of it.
#pragma once

#include "whpapi/whp.h"
// Wants whp.h first.
#include <winhvemulation.h>

namespace runhv::winhv_linux {

// Threads: externally serialised.
class Emulator {
 public:
  explicit Emulator(const WHV_EMULATOR_CALLBACKS& callbacks) : callbacks_(callbacks) {}

  // `context` is the client's, for its calls. Registers are set as the last act, or not at all. Of
  // a repeated string instruction as much is done as the client's calls do, at most 4096 elements,
  // and RIP stays where some are left. A page that the guest's tables do not give is
  // GuestCannotBeFaulted.
  WHV_EMULATOR_STATUS run_port(void* context, const WHV_VP_EXIT_CONTEXT& vp,
                               const WHV_X64_IO_PORT_ACCESS_CONTEXT& access) const;
  WHV_EMULATOR_STATUS run_memory(void* context, const WHV_VP_EXIT_CONTEXT& vp,
                                 const WHV_MEMORY_ACCESS_CONTEXT& access) const;

 private:
  const WHV_EMULATOR_CALLBACKS callbacks_;
};

}  // namespace runhv::winhv_linux
