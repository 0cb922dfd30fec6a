#include "winhv_linux/engines/soft_engine.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/check.h"
#include "winhv_linux/engines/baton.h"
#include "winhv_linux/engines/softcpu_library.h"

namespace runhv::winhv_linux {
namespace {

// softcpu.h takes WHP's numbers and layouts as they are.
static_assert(sizeof(softcpu_value) == sizeof(WHV_REGISTER_VALUE));
static_assert(SOFTCPU_MAX_CPUS == kMaxProcessors);
static_assert(SOFTCPU_APIC_NONE == int{WHvX64LocalApicEmulationModeNone} &&
              SOFTCPU_APIC_XAPIC == int{WHvX64LocalApicEmulationModeXApic} &&
              SOFTCPU_APIC_X2APIC == int{WHvX64LocalApicEmulationModeX2Apic});
static_assert(SOFTCPU_MAP_READ == int{WHvMapGpaRangeFlagRead} &&
              SOFTCPU_MAP_WRITE == int{WHvMapGpaRangeFlagWrite} &&
              SOFTCPU_MAP_EXECUTE == int{WHvMapGpaRangeFlagExecute} &&
              SOFTCPU_MAP_TRACK == int{WHvMapGpaRangeFlagTrackDirtyPages});
static_assert(SOFTCPU_APIC_REGISTERS == std::tuple_size_v<ApicRegisters>);

// With several processors a slice must be short: an IPI reaches its target, and a spinning
// processor sees the answer, only between slices. About 60 us at 300 MIPS.
constexpr std::uint64_t kSharedSlice = 20'000;
// And not always of one length: a loop that gives a lock back and takes it again would be found
// with the lock in its hand after each slice of which its own length is a divisor (SeaBIOS has
// one).
constexpr std::uint64_t kSliceLengths = 61;
constexpr std::uint64_t kLongestSlice = 0;  // what softcpu allows

constexpr UINT64 kSoftVmExits = 0x7;  // X64CpuidExit, X64MsrExit, ExceptionExit
// Those of build 26200 (field guide §1.2) without #DF, which only arises while another exception is
// delivered, and #MC, which never does.
constexpr UINT64 kSoftExceptionExits = 0xB7CFB;

Capabilities soft_capabilities() {
  WHV_CAPABILITY_FEATURES features{};
  features.PartialUnmap = 1;
  features.LocalApicEmulation = 1;
  features.Xsave = 1;
  features.DirtyPageTracking = 1;
  // What cpu_model.cc tells guests of by CPUID.
  WHV_PROCESSOR_FEATURES processor{};
  processor.Sse3Support = 1;
  processor.LahfSahfSupport = 1;
  processor.Ssse3Support = 1;
  processor.Sse4_1Support = 1;
  processor.Sse4_2Support = 1;
  processor.PopCntSupport = 1;
  processor.Cmpxchg16bSupport = 1;
  processor.LzcntSupport = 1;
  processor.Page1GbSupport = 1;
  processor.AesSupport = 1;
  processor.PclmulqdqSupport = 1;
  processor.PcidSupport = 1;
  processor.F16CSupport = 1;
  processor.RdRandSupport = 1;
  processor.RdWrFsGsSupport = 1;
  processor.SmepSupport = 1;
  processor.EnhancedFastStringSupport = 1;
  processor.Bmi1Support = 1;
  processor.Bmi2Support = 1;
  processor.MovbeSupport = 1;
  processor.RdSeedSupport = 1;
  processor.RdtscpSupport = 1;
  processor.InvpcidSupport = 1;
  processor.FastShortRepMovSupport = 1;
  processor.RdclNo = 1;
  processor.SsbNo = 1;
  processor.MdsNoSupport = 1;
  processor.TaaNoSupport = 1;
  WHV_PROCESSOR_FEATURES1 processor1{};
  processor1.TscInvariantSupport = 1;
  processor1.TscDeadlineTmrSupport = 1;
  processor1.FSRepStosb = 1;
  WHV_PROCESSOR_XSAVE_FEATURES xsave{};
  xsave.XsaveSupport = 1;
  xsave.XsaveoptSupport = 1;
  xsave.AvxSupport = 1;
  xsave.Avx2Support = 1;
  xsave.FmaSupport = 1;
  return {.features = features.AsUINT64,
          .extended_vm_exits = kSoftVmExits,
          .exception_exits = kSoftExceptionExits,
          .x64_msr_exits = kX64MsrExits,
          .synthetic_features = kSyntheticFeatures,
          .processor_features = {processor.AsUINT64, processor1.AsUINT64},
          .xsave_features = xsave.AsUINT64,
          .tsc_hz = 1'000'000'000,
          .apic_hz = 200'000'000,
          .physical_address_width = 40,
          .time_stops = true};
}

XsaveLayout soft_xsave() {
  constexpr XsaveComponent kAvx{.number = 2, .size = 256, .offset = 576, .is_aligned = false};
  return XsaveLayout({kAvx});
}

HRESULT hresult(softcpu_status status) {
  switch (status) {
    case SOFTCPU_OK:
      return S_OK;
    case SOFTCPU_E_MEMORY:
      return E_OUTOFMEMORY;
    case SOFTCPU_E_REGISTER:
      return WHV_E_INVALID_VP_REGISTER_NAME;
    case SOFTCPU_E_ABI:
      return WHV_E_UNSUPPORTED_HYPERVISOR_CONFIG;
    case SOFTCPU_E_INVALID:
      break;
  }
  return E_INVALIDARG;
}

softcpu_answer answer(MsrAnswer answer) {
  switch (answer) {
    case MsrAnswer::kDone:
      return SOFTCPU_ANSWER_DONE;
    case MsrAnswer::kExit:
      return SOFTCPU_ANSWER_EXIT;
    case MsrAnswer::kFault:
      return SOFTCPU_ANSWER_FAULT;
    case MsrAnswer::kDefault:
      break;
  }
  return SOFTCPU_ANSWER_DEFAULT;
}

EngineExitReason reason(std::uint32_t softcpu_reason) {
  switch (softcpu_reason) {
    case SOFTCPU_EXIT_IO:
      return EngineExitReason::kPort;
    case SOFTCPU_EXIT_MMIO:
      return EngineExitReason::kMemory;
    case SOFTCPU_EXIT_CPUID:
      return EngineExitReason::kCpuid;
    case SOFTCPU_EXIT_MSR:
      return EngineExitReason::kMsr;
    case SOFTCPU_EXIT_HALT:
      return EngineExitReason::kHalt;
    case SOFTCPU_EXIT_EOI:
      return EngineExitReason::kEoi;
    case SOFTCPU_EXIT_WINDOW:
      return EngineExitReason::kWindow;
    case SOFTCPU_EXIT_EXCEPTION:
      return EngineExitReason::kException;
    default:
      return EngineExitReason::kShutdown;
  }
}

EngineExit engine_exit(const softcpu_exit& from) {
  EngineExit exit;
  exit.reason = reason(from.reason);
  exit.instruction_length = from.instruction_length;
  exit.instruction_bytes = from.instruction_bytes;
  std::copy(std::begin(from.instruction), std::end(from.instruction), exit.instruction.begin());
  exit.access = static_cast<WHV_MEMORY_ACCESS_TYPE>(from.access);
  exit.address = from.address;
  exit.size = from.size;
  exit.is_string = from.io_string != 0;
  exit.has_rep = from.io_rep != 0;
  exit.unmapped = from.unmapped != 0;
  exit.gva_valid = from.gva_valid != 0;
  exit.gva = from.gva;
  exit.vector = from.vector;
  exit.has_error_code = from.error_code_valid != 0;
  exit.error_code = from.error_code;
  exit.is_software = from.is_software != 0;
  exit.parameter = from.value;
  return exit;
}

// softcpu serves one call of a machine at a time, so every method takes the baton; a processor runs
// in slices and gives the baton back between them. Only cancel(), request_interrupt() and
// memory_written() of data go past it. Order of locks: baton, then sleep_mutex_.
class SoftVm final : public EngineVm {
 public:
  SoftVm(const SoftcpuLibrary& softcpu, const VmShape& shape, CpuAnswers& answers,
         DirtyPages& dirty_pages)
      : softcpu_(softcpu), shape_(shape), answers_(answers), dirty_pages_(dirty_pages) {}
  ~SoftVm() override {
    if (vm_ != nullptr) softcpu_.destroy(vm_);
  }
  SoftVm(const SoftVm&) = delete;
  SoftVm& operator=(const SoftVm&) = delete;

  HRESULT create();

  HRESULT map(UINT64 gpa, const GpaRange& range) override;
  HRESULT unmap(UINT64 gpa, UINT64 size) override;
  HRESULT memory_written(UINT64 gpa, UINT64 size) override;
  HRESULT take_dirty(UINT64 gpa, UINT64 size, std::span<UINT64> bitmap) override;
  HRESULT run(UINT32 index, OnHalt on_halt, EngineExit& exit) override;
  void cancel(UINT32 index) override;
  HRESULT request_interrupt(const WHV_INTERRUPT_CONTROL& control) override;
  HRESULT get_registers(UINT32 index, std::span<const WHV_REGISTER_NAME> names,
                        WHV_REGISTER_VALUE* values) override;
  HRESULT set_registers(UINT32 index, std::span<const WHV_REGISTER_NAME> names,
                        const WHV_REGISTER_VALUE* values) override;
  HRESULT get_xsave(UINT32 index, std::span<std::byte> area) override;
  HRESULT set_xsave(UINT32 index, std::span<const std::byte> area) override;
  HRESULT get_apic(UINT32 index, ApicRegisters& registers) override;
  HRESULT set_apic(UINT32 index, const ApicRegisters& registers) override;
  bool translate(UINT32 index, UINT64 gva, WHV_MEMORY_ACCESS_TYPE access, UINT64& gpa) override;

 private:
  struct Processor {
    std::atomic<bool> canceled{false};
    std::atomic<bool> halted{false};        // its thread sleeps, or is about to, until it can run
    std::array<UINT32, 4> cpuid_default{};  // of the CPUID that exits next; under the baton
  };

  class EngineTurn {  // holds the baton
   public:
    EngineTurn(SoftVm& vm, Turn turn) : baton_(vm.baton_) {
      baton_.take(turn, [&] {
        if (turn == Turn::kNext) vm.interrupt_slice();
      });
    }
    EngineTurn(const EngineTurn&) = delete;
    EngineTurn& operator=(const EngineTurn&) = delete;
    ~EngineTurn() { baton_.give(); }

   private:
    Baton& baton_;
  };

  bool has_apic() const { return shape_.local_apic_mode != WHvX64LocalApicEmulationModeNone; }
  softcpu_status run_slice(UINT32 index, softcpu_exit& exit);
  void finish_exit(UINT32 index, EngineExit& exit);
  void interrupt_slice();
  void sleep(Processor& processor, std::uint64_t generation, std::uint64_t until_ns);
  void wake_sleepers();
  void wake_runnable(UINT32 running);

  static softcpu_answer on_cpuid(void* self, std::uint32_t cpu, std::uint32_t function,
                                 std::uint32_t index, std::uint32_t out[4]);

  const SoftcpuLibrary& softcpu_;
  const VmShape shape_;
  CpuAnswers& answers_;
  DirtyPages& dirty_pages_;
  softcpu_vm* vm_ = nullptr;
  Baton baton_;
  std::array<Processor, kMaxProcessors> processors_;

  std::uint64_t slices_ = 0;                // under the baton
  std::atomic<std::int32_t> in_slice_{-1};  // the processor that softcpu runs now
  std::mutex sleep_mutex_;
  std::condition_variable sleepers_;
  std::atomic<std::uint64_t> generation_{0};  // grows with each wake; written under sleep_mutex_
};

HRESULT SoftVm::create() {
  softcpu_config config{};
  config.abi_version = SOFTCPU_ABI_VERSION;
  config.struct_size = sizeof config;
  config.cpu_count = shape_.processor_count;
  config.apic_mode = static_cast<std::uint32_t>(shape_.local_apic_mode);
  config.tsc_hz = shape_.tsc_hz;
  config.apic_hz = shape_.apic_hz;
  config.callbacks.now_ns = [](void* self) {
    return static_cast<SoftVm*>(self)->answers_.now_ns();
  };
  config.callbacks.cpuid = on_cpuid;
  config.callbacks.read_msr = [](void* self, std::uint32_t cpu, std::uint32_t msr,
                                 std::uint64_t* value) {
    return answer(static_cast<SoftVm*>(self)->answers_.read_msr(cpu, msr, *value));
  };
  config.callbacks.write_msr = [](void* self, std::uint32_t cpu, std::uint32_t msr,
                                  std::uint64_t value) {
    return answer(static_cast<SoftVm*>(self)->answers_.write_msr(cpu, msr, value));
  };
  config.callbacks.page_written = [](void* self, std::uint64_t gpa) {
    static_cast<SoftVm*>(self)->dirty_pages_.mark(gpa);
  };
  config.callbacks.exception = [](void* self, std::uint32_t, std::uint32_t vector) {
    return static_cast<SoftVm*>(self)->answers_.exception_exits(vector) ? SOFTCPU_ANSWER_EXIT
                                                                        : SOFTCPU_ANSWER_DEFAULT;
  };
  config.context = this;
  return hresult(softcpu_.create(&config, &vm_));
}

softcpu_answer SoftVm::on_cpuid(void* self, std::uint32_t cpu, std::uint32_t function,
                                std::uint32_t index, std::uint32_t out[4]) {
  auto& vm = *static_cast<SoftVm*>(self);
  std::array<UINT32, 4> words{out[0], out[1], out[2], out[3]};
  const bool exits = vm.answers_.cpuid(cpu, function, index, words);
  std::ranges::copy(words, out);
  if (!exits) return SOFTCPU_ANSWER_DONE;
  vm.processors_[cpu].cpuid_default = words;
  return SOFTCPU_ANSWER_EXIT;
}

// ---- short calls ----

HRESULT SoftVm::map(UINT64 gpa, const GpaRange& range) {
  const EngineTurn turn(*this, Turn::kNext);
  return hresult(softcpu_.map(vm_, gpa, range.size, range.host, range.flags));
}

HRESULT SoftVm::unmap(UINT64 gpa, UINT64 size) {
  const EngineTurn turn(*this, Turn::kNext);
  return hresult(softcpu_.unmap(vm_, gpa, size));
}

HRESULT SoftVm::memory_written(UINT64 gpa, UINT64 size) {
  // Of data, which is nearly all that devices write, there is nothing to forget: a turn would cost
  // the processor's thread a sleep.
  if (softcpu_.holds_code(vm_, gpa, size) == 0) return S_OK;
  // Waits for the running slice to end, rather than leave a note for the next one: a guest that
  // polls memory may see the write, and jump into it, without any interrupt in between.
  const EngineTurn turn(*this, Turn::kNext);
  return hresult(softcpu_.memory_written(vm_, gpa, size));
}

HRESULT SoftVm::get_registers(UINT32 index, std::span<const WHV_REGISTER_NAME> names,
                              WHV_REGISTER_VALUE* values) {
  const EngineTurn turn(*this, Turn::kNext);
  return hresult(softcpu_.get(vm_, index, reinterpret_cast<const std::uint32_t*>(names.data()),
                              static_cast<std::uint32_t>(names.size()),
                              reinterpret_cast<softcpu_value*>(values)));
}

HRESULT SoftVm::set_registers(UINT32 index, std::span<const WHV_REGISTER_NAME> names,
                              const WHV_REGISTER_VALUE* values) {
  const EngineTurn turn(*this, Turn::kNext);
  return hresult(softcpu_.set(vm_, index, reinterpret_cast<const std::uint32_t*>(names.data()),
                              static_cast<std::uint32_t>(names.size()),
                              reinterpret_cast<const softcpu_value*>(values)));
}

HRESULT SoftVm::take_dirty(UINT64 gpa, UINT64 size, std::span<UINT64> bitmap) {
  const EngineTurn turn(*this, Turn::kNext);  // nobody writes between the two
  dirty_pages_.take(gpa, size, bitmap);
  softcpu_.forget_writes(vm_);
  return S_OK;
}

HRESULT SoftVm::get_xsave(UINT32 index, std::span<std::byte> area) {
  const EngineTurn turn(*this, Turn::kNext);
  return hresult(softcpu_.get_xsave(vm_, index, area.data()));
}

HRESULT SoftVm::set_xsave(UINT32 index, std::span<const std::byte> area) {
  const EngineTurn turn(*this, Turn::kNext);
  return hresult(softcpu_.set_xsave(vm_, index, area.data()));
}

HRESULT SoftVm::get_apic(UINT32 index, ApicRegisters& registers) {
  const EngineTurn turn(*this, Turn::kNext);
  return hresult(softcpu_.get_apic(vm_, index, registers.data()));
}

HRESULT SoftVm::set_apic(UINT32 index, const ApicRegisters& registers) {
  const EngineTurn turn(*this, Turn::kNext);
  return hresult(softcpu_.set_apic(vm_, index, registers.data()));
}

bool SoftVm::translate(UINT32 index, UINT64 gva, WHV_MEMORY_ACCESS_TYPE access, UINT64& gpa) {
  const EngineTurn turn(*this, Turn::kNext);
  return softcpu_.translate(vm_, index, gva, static_cast<std::uint32_t>(access), &gpa) ==
         SOFTCPU_OK;
}

HRESULT SoftVm::request_interrupt(const WHV_INTERRUPT_CONTROL& control) {
  softcpu_interrupt interrupt{};
  interrupt.type = static_cast<std::uint32_t>(control.Type);
  interrupt.logical_destination = control.DestinationMode == WHvX64InterruptDestinationModeLogical;
  interrupt.level_triggered = control.TriggerMode == WHvX64InterruptTriggerModeLevel;
  interrupt.destination = control.Destination;
  interrupt.vector = control.Vector;
  if (softcpu_.request_interrupt(vm_, &interrupt) != SOFTCPU_OK) return whpapi::kHvInvalidParameter;
  wake_sleepers();
  return S_OK;
}

// ---- running ----

void SoftVm::cancel(UINT32 index) {
  processors_[index].canceled.store(true);
  softcpu_.cancel(vm_, index);
  wake_sleepers();
}

softcpu_status SoftVm::run_slice(UINT32 index, softcpu_exit& exit) {
  const bool alone = shape_.processor_count == 1;
  softcpu_status status = SOFTCPU_OK;
  in_slice_.store(static_cast<std::int32_t>(index));
  // After in_slice_: who wants the baton and came too early to interrupt us is seen here.
  if (!baton_.wanted()) {
    const std::uint64_t shared = kSharedSlice + slices_++ % kSliceLengths;
    status = softcpu_.run(vm_, index, alone ? kLongestSlice : shared, &exit);
  }
  in_slice_.store(-1);
  if (!alone) wake_runnable(index);
  return status;
}

HRESULT SoftVm::run(UINT32 index, OnHalt on_halt, EngineExit& exit) {
  Processor& processor = processors_[index];
  for (;;) {
    // Read before the slice: an interrupt requested after this keeps the processor awake.
    const std::uint64_t generation = generation_.load();
    std::uint64_t wake_ns = 0;
    {
      const EngineTurn turn(*this, Turn::kFair);
      if (processor.canceled.exchange(false)) {
        exit = {};
        finish_exit(index, exit);
        return S_OK;
      }
      softcpu_exit slice{};
      if (run_slice(index, slice) != SOFTCPU_OK) return E_UNEXPECTED;
      // A cancel that nobody asked for ended the slice for a short call.
      if (slice.reason == SOFTCPU_EXIT_NONE || slice.reason == SOFTCPU_EXIT_CANCELED) continue;
      const bool waits =
          slice.reason == SOFTCPU_EXIT_HALT && has_apic() && on_halt == OnHalt::kWait;
      if (!waits) {
        exit = engine_exit(slice);
        finish_exit(index, exit);
        return S_OK;
      }
      wake_ns = answers_.host_ns(softcpu_.next_timer_ns(vm_));
      processor.halted.store(true);  // under the baton: no other slice can send an IPI unseen
    }
    sleep(processor, generation, wake_ns);
  }
}

// Under the baton.
void SoftVm::finish_exit(UINT32 index, EngineExit& exit) {
  if (exit.reason == EngineExitReason::kHalt && !has_apic()) {
    constexpr std::uint32_t kActivity = WHvRegisterInternalActivityState;
    constexpr softcpu_value kActive{};
    RUNHV_CHECK(softcpu_.set(vm_, index, &kActivity, 1, &kActive) == SOFTCPU_OK);
  }
  if (exit.reason == EngineExitReason::kCpuid) {
    exit.cpuid_default = processors_[index].cpuid_default;
  }
  constexpr auto& kNames = ExitRegisters::kNames;
  std::array<softcpu_value, kNames.size()> values;
  RUNHV_CHECK(softcpu_.get(vm_, index, reinterpret_cast<const std::uint32_t*>(kNames.data()),
                           static_cast<std::uint32_t>(kNames.size()), values.data()) == SOFTCPU_OK);
  std::memcpy(&exit.registers, values.data(), sizeof exit.registers);
  exit.instructions = softcpu_.instructions(vm_, index);
}

// For a thread that waits for the baton: makes the slice that runs now end at its next chance.
void SoftVm::interrupt_slice() {
  const std::int32_t running = in_slice_.load();
  if (running >= 0) softcpu_.cancel(vm_, static_cast<std::uint32_t>(running));
}

// ---- sleep ----

void SoftVm::sleep(Processor& processor, std::uint64_t generation, std::uint64_t until_ns) {
  std::unique_lock lock(sleep_mutex_);
  const auto woken = [&] { return generation_.load() != generation || processor.canceled.load(); };
  if (until_ns > std::uint64_t{INT64_MAX}) {  // none, or one that the guest put beyond our clock
    sleepers_.wait(lock, woken);
  } else {
    // steady_clock is CLOCK_MONOTONIC, the clock of host_ns().
    using std::chrono::steady_clock;
    const steady_clock::time_point until{std::chrono::nanoseconds(until_ns)};
    sleepers_.wait_until(lock, until, woken);
  }
  processor.halted.store(false);
}

void SoftVm::wake_sleepers() {
  {
    const std::lock_guard lock(sleep_mutex_);
    generation_.fetch_add(1);
  }
  sleepers_.notify_all();
}

// After a slice of `running`: it may have sent IPIs to processors that sleep.
void SoftVm::wake_runnable(UINT32 running) {
  for (UINT32 index = 0; index < shape_.processor_count; ++index) {
    if (index != running && processors_[index].halted.load() &&
        softcpu_.is_runnable(vm_, index) != 0) {
      wake_sleepers();
      return;
    }
  }
}

class SoftEngine final : public Engine {
 public:
  explicit SoftEngine(SoftcpuLibrary softcpu) : softcpu_(std::move(softcpu)) {}

  const Capabilities& capabilities() const override { return capabilities_; }
  const XsaveLayout& xsave() const override { return xsave_; }
  HRESULT create_vm(const VmShape& shape, CpuAnswers& answers, DirtyPages& dirty_pages,
                    std::unique_ptr<EngineVm>& vm) const override {
    auto made = std::make_unique<SoftVm>(softcpu_, shape, answers, dirty_pages);
    const HRESULT result = made->create();
    if (SUCCEEDED(result)) vm = std::move(made);
    return result;
  }

 private:
  const SoftcpuLibrary softcpu_;
  const Capabilities capabilities_ = soft_capabilities();
  const XsaveLayout xsave_ = soft_xsave();
};

Result<std::unique_ptr<Engine>> open_soft_engine() {
  RUNHV_TRY_ASSIGN(SoftcpuLibrary softcpu, SoftcpuLibrary::open());
  return std::unique_ptr<Engine>(std::make_unique<SoftEngine>(std::move(softcpu)));
}

}  // namespace

const Result<std::unique_ptr<Engine>>& soft_engine() {
  // Leaked on purpose: threads of the client may still run guests while the process exits.
  static const auto& engine = *new Result<std::unique_ptr<Engine>>(open_soft_engine());
  return engine;
}

}  // namespace runhv::winhv_linux
