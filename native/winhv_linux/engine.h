// What a partition runs on: the memory and the processors of virtual machines. One implementation
// per engine, in engines/; the partition above knows WHP's rules, the engine below how guest code
// runs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "whpapi/whp.h"
#include "winhv_linux/capabilities.h"
#include "winhv_linux/dirty_pages.h"
#include "winhv_linux/gpa_map.h"
#include "winhv_linux/xsave.h"

namespace runhv::winhv_linux {

inline constexpr UINT32 kMaxProcessors = 64;

enum class MsrAnswer {
  kDone,    // the value is the answer, or was taken
  kExit,    // the access is the client's
  kFault,   // #GP(0)
  kDefault  // the engine's own register
};

// What an engine asks when the guest executes CPUID, RDMSR or WRMSR.
// Threads: those inside run(), each for its own processor; it calls nothing of the engine.
class CpuAnswers {
 public:
  // `out` (eax, ebx, ecx, edx): in, what the engine would answer; out, what the partition does.
  // True: the instruction is the client's, and `out` the default result of that exit.
  virtual bool cpuid(UINT32 vp, UINT32 function, UINT32 index, std::array<UINT32, 4>& out) = 0;
  virtual MsrAnswer read_msr(UINT32 vp, UINT32 msr, UINT64& value) = 0;
  virtual MsrAnswer write_msr(UINT32 vp, UINT32 msr, UINT64 value) = 0;
  // Whether an exception of this vector, 0 to 31, is the client's: kException.
  virtual bool exception_exits(UINT32 vector) const = 0;

  // The partition's time in nanoseconds, which stands still while it is suspended, and when the
  // host's monotonic clock shows it. Any thread; neither blocks.
  virtual UINT64 now_ns() const = 0;
  virtual UINT64 host_ns(UINT64 partition_ns) const = 0;

 protected:
  ~CpuAnswers() = default;
};

// The registers that exit contexts carry.
struct ExitRegisters {
  WHV_REGISTER_VALUE rip, rflags, cs, cr0, cr8, efer, rax, rbx, rcx, rdx, rsi, rdi, ds, es, ss;
  WHV_REGISTER_VALUE interruption, interrupt_state;

  // Their names, in the order of the members.
  static constexpr std::array kNames{WHvX64RegisterRip,        WHvX64RegisterRflags,
                                     WHvX64RegisterCs,         WHvX64RegisterCr0,
                                     WHvX64RegisterCr8,        WHvX64RegisterEfer,
                                     WHvX64RegisterRax,        WHvX64RegisterRbx,
                                     WHvX64RegisterRcx,        WHvX64RegisterRdx,
                                     WHvX64RegisterRsi,        WHvX64RegisterRdi,
                                     WHvX64RegisterDs,         WHvX64RegisterEs,
                                     WHvX64RegisterSs,         WHvRegisterPendingInterruption,
                                     WHvRegisterInterruptState};
};
static_assert(sizeof(ExitRegisters) == ExitRegisters::kNames.size() * sizeof(WHV_REGISTER_VALUE));

enum class EngineExitReason {
  kPort,
  kMemory,
  kCpuid,
  kMsr,
  kHalt,    // RIP past HLT
  kEoi,     // of a level-triggered vector; the instruction is complete
  kWindow,  // the interrupt window that DeliverabilityNotifications asked for
  kException,
  kShutdown,  // triple fault, or a state that the engine cannot run
  kCanceled
};
inline constexpr std::size_t kEngineExitReasons = 10;
static_assert(kEngineExitReasons == static_cast<std::size_t>(EngineExitReason::kCanceled) + 1);

// An exit: the instruction has not been executed, except where the reason says otherwise.
struct EngineExit {
  EngineExitReason reason = EngineExitReason::kCanceled;
  ExitRegisters registers{};
  UINT64 instructions = UINT64_MAX;  // completed until now; UINT64_MAX: the engine cannot count

  // kPort, kCpuid, kMsr: exact; kMemory, kException: 0 where not known
  UINT32 instruction_length = 0;
  std::array<UINT8, 16> instruction{};  // from RIP, instruction_bytes of them
  UINT32 instruction_bytes = 0;
  WHV_MEMORY_ACCESS_TYPE access = WHvMemoryAccessRead;  // kPort, kMemory, kMsr
  UINT64 address = 0;      // kPort: port; kMemory: guest-physical, of the first byte that exits;
                           // kMsr: number
  UINT32 size = 0;         // kPort: 1, 2, 4
  bool is_string = false;  // kPort: INS, OUTS
  bool has_rep = false;
  bool unmapped = false;  // kMemory: no range there; false: a range that forbids the access
  bool gva_valid = false;
  UINT64 gva = 0;               // kMemory: the linear address that belongs to `address`
  UINT32 vector = 0;            // kEoi, kException
  bool has_error_code = false;  // kException
  UINT32 error_code = 0;
  bool is_software = false;               // kException: INT3, INTO
  UINT64 parameter = 0;                   // kException: of #PF the linear address, of #DB for DR6
  std::array<UINT32, 4> cpuid_default{};  // kCpuid: CpuAnswers' answer
};

// A local APIC: the register at byte 16 n of its page (SDM Vol.3 §11.4.1) is number n.
using ApicRegisters = std::array<UINT32, 64>;

enum class OnHalt {
  kWait,   // sleep until an interrupt can be delivered
  kReturn  // kHalt, at once where the processor is halted already
};

// One virtual machine. Threads: any call from any thread at any time, except that a processor is
// run by one thread at a time and its registers are not touched while it runs. Errors: HRESULTs
// that the client gets as they are.
class EngineVm {
 public:
  // REQUIRES: no call is under way.
  virtual ~EngineVm() = default;

  // Replaces page by page; a multiple of 4 KiB that does not wrap. When it has returned no
  // processor uses the old mapping. One of map() and unmap() at a time.
  virtual HRESULT map(UINT64 gpa, const GpaRange& range) = 0;
  virtual HRESULT unmap(UINT64 gpa, UINT64 size) = 0;
  // The host wrote there: when it has returned, no processor runs old instructions of these bytes.
  virtual HRESULT memory_written(UINT64 gpa, UINT64 size) = 0;
  // DirtyPages::take, of a range that is tracked as a whole: when it has returned, what the guest
  // writes is noted anew. It may tell of more pages than were written, never of fewer.
  virtual HRESULT take_dirty(UINT64 gpa, UINT64 size, std::span<UINT64> bitmap) = 0;

  // Blocks until an exit. Without a local APIC a halted processor goes on when it is run again.
  virtual HRESULT run(UINT32 index, OnHalt on_halt, EngineExit& exit) = 0;
  // Makes the run that is under way, or else the next one, return kCanceled, unless it has another
  // exit. kCanceled may come once more than asked for: whoever runs must know what it wanted.
  virtual void cancel(UINT32 index) = 0;

  // Only where there is a local APIC. Wakes processors that wait in run().
  virtual HRESULT request_interrupt(const WHV_INTERRUPT_CONTROL& control) = 0;

  // All or nothing; WHV_E_INVALID_VP_REGISTER_NAME for a name that the engine does not have.
  virtual HRESULT get_registers(UINT32 index, std::span<const WHV_REGISTER_NAME> names,
                                WHV_REGISTER_VALUE* values) = 0;
  virtual HRESULT set_registers(UINT32 index, std::span<const WHV_REGISTER_NAME> names,
                                const WHV_REGISTER_VALUE* values) = 0;

  // An area of Engine::xsave()'s standard form. E_INVALIDARG: values that no processor has.
  virtual HRESULT get_xsave(UINT32 index, std::span<std::byte> area) = 0;
  virtual HRESULT set_xsave(UINT32 index, std::span<const std::byte> area) = 0;

  // Only where there is a local APIC. Setting takes no identity and no version, and sends nothing.
  virtual HRESULT get_apic(UINT32 index, ApicRegisters& registers) = 0;
  virtual HRESULT set_apic(UINT32 index, const ApicRegisters& registers) = 0;

  // False: the guest's tables do not map `gva` for `access`.
  virtual bool translate(UINT32 index, UINT64 gva, WHV_MEMORY_ACCESS_TYPE access, UINT64& gpa) = 0;
};

// The shape of a virtual machine, fixed when it is made.
struct VmShape {
  UINT32 processor_count;  // 1..kMaxProcessors
  WHV_X64_LOCAL_APIC_EMULATION_MODE local_apic_mode;
  UINT64 tsc_hz;
  UINT64 apic_hz;  // of the timer, before its divider
};

// Threads: any.
class Engine {
 public:
  virtual ~Engine() = default;
  // What it can do at most; a profile takes from it (profile.h).
  virtual const Capabilities& capabilities() const = 0;
  // Of its processors.
  virtual const XsaveLayout& xsave() const = 0;
  // `answers` and `dirty_pages` outlive the machine. It marks in the latter what the guest writes
  // of ranges with WHvMapGpaRangeFlagTrackDirtyPages.
  virtual HRESULT create_vm(const VmShape& shape, CpuAnswers& answers, DirtyPages& dirty_pages,
                            std::unique_ptr<EngineVm>& vm) const = 0;
};

}  // namespace runhv::winhv_linux
