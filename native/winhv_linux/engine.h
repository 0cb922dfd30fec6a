// The engine behind a partition: the functions of librunhv-softcpu, opened at run time.
#pragma once

#include "base/result.h"
#include "platform/library.h"
#include "winhv_linux/engines/soft/softcpu.h"

namespace runhv::winhv {

struct Engine {
  Library library;
  decltype(&softcpu_create) create;
  decltype(&softcpu_destroy) destroy;
  decltype(&softcpu_map) map;
  decltype(&softcpu_unmap) unmap;
  decltype(&softcpu_memory_written) memory_written;
  decltype(&softcpu_run) run;
  decltype(&softcpu_cancel) cancel;
  decltype(&softcpu_next_timer_ns) next_timer_ns;
  decltype(&softcpu_is_runnable) is_runnable;
  decltype(&softcpu_request_interrupt) request_interrupt;
  decltype(&softcpu_get) get;
  decltype(&softcpu_set) set;
  decltype(&softcpu_translate) translate;
  decltype(&softcpu_instructions) instructions;
};

// The engine of this process: loaded at the first call, from $RUNHV_SOFTCPU, else from the
// directory of libwinhvplatform.so, else where the system looks. Never unloaded. Threads: any.
const Result<Engine>& soft_engine();

}  // namespace runhv::winhv
