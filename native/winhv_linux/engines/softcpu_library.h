// The functions of librunhv-softcpu (runhv-softcpu.dll), opened at run time. The soft engine's own.
#pragma once

#include "base/result.h"
#include "platform/library.h"
#include "winhv_linux/engines/soft/softcpu.h"

namespace runhv::winhv_linux {

// Each function behind softcpu_abi_version that the engine calls: X(name).
#define RUNHV_SOFTCPU_FUNCTIONS(X) \
  X(create)                        \
  X(destroy)                       \
  X(map)                           \
  X(unmap)                         \
  X(memory_written)                \
  X(holds_code)                    \
  X(forget_writes)                 \
  X(run)                           \
  X(cancel)                        \
  X(next_timer_ns)                 \
  X(is_runnable)                   \
  X(request_interrupt)             \
  X(get)                           \
  X(set)                           \
  X(get_xsave)                     \
  X(set_xsave)                     \
  X(get_apic)                      \
  X(set_apic)                      \
  X(translate)                     \
  X(instructions)

struct SoftcpuLibrary {
  platform::Library library;
#define RUNHV_SOFTCPU_MEMBER(name) decltype(&softcpu_##name) name = nullptr;
  RUNHV_SOFTCPU_FUNCTIONS(RUNHV_SOFTCPU_MEMBER)
#undef RUNHV_SOFTCPU_MEMBER

  // From $RUNHV_SOFTCPU, else from the directory of our WHP, else where the system
  // looks. Errors: no such library, another ABI version, an export that is missing.
  static Result<SoftcpuLibrary> open();
};

}  // namespace runhv::winhv_linux
