// From WHP's exit context to an Exit. Internal to hv/.
#pragma once

#include "hv/exit.h"
#include "hv/whp_functions.h"

namespace runhv::hv {

Exit read_exit_context(const WHV_RUN_VP_EXIT_CONTEXT& context);

}  // namespace runhv::hv
