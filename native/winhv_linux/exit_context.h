// WHV_RUN_VP_EXIT_CONTEXT from an exit of the engine.
#pragma once

#include "whpapi/whp.h"
#include "winhv_linux/engine.h"

namespace runhv::winhv_linux {

void fill_vp_context(const ExitRegisters& registers, UINT32 instruction_length,
                     WHV_VP_EXIT_CONTEXT& context);

void fill_exit_context(const EngineExit& exit, WHV_RUN_VP_EXIT_CONTEXT& context);

}  // namespace runhv::winhv_linux
