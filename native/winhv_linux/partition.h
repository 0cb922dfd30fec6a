// A partition: WHP's rules over one virtual machine of an engine.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>

#include "whpapi/whp.h"
#include "winhv_linux/cpu_policy.h"
#include "winhv_linux/engine.h"
#include "winhv_linux/gpa_map.h"
#include "winhv_linux/partition_clock.h"
#include "winhv_linux/profile.h"
#include "winhv_linux/properties.h"
#include "winhv_linux/strict.h"
#include "winhv_linux/virtual_processor.h"

namespace runhv::winhv_linux {

// State of a processor in a form of its own.
enum class ProcessorState {
  kXsave,      // an XSAVE area in the compacted form
  kApic,       // the local APIC's page (…InterruptControllerState2)
  kPackedApic  // its registers one behind the other (…InterruptControllerState)
};

// Threads: any, one per processor in run(). Order of locks: structure_mutex_, machine_mutex_, the
// engine's own, state_mutex_.
class Partition final : private CpuAnswers {
 public:
  // All outlive it.
  Partition(const Engine& engine, const Profile& profile, const Strictness& strictness)
      : engine_(engine),
        profile_(profile),
        strictness_(strictness),
        properties_(narrowed(engine.capabilities(), profile), profile) {}
  ~Partition();
  Partition(const Partition&) = delete;
  Partition& operator=(const Partition&) = delete;

  HRESULT set_property(WHV_PARTITION_PROPERTY_CODE code, const void* buffer, UINT32 size);
  HRESULT get_property(WHV_PARTITION_PROPERTY_CODE code, void* buffer, UINT32 size,
                       UINT32* written);
  HRESULT setup();
  // Processors as setup made them; memory, its contents and properties stay.
  HRESULT reset();
  // Not while a processor runs; the next run() resumes it.
  HRESULT suspend_time();
  HRESULT resume_time();

  // Ends every run() and waits for them; no other call may follow.
  void close();

  HRESULT map(std::uint64_t gpa, const GpaRange& range);
  HRESULT unmap(std::uint64_t gpa, std::uint64_t size);
  HRESULT translate(UINT32 index, std::uint64_t gva, WHV_TRANSLATE_GVA_FLAGS flags,
                    WHV_TRANSLATE_GVA_RESULT_CODE& result, std::uint64_t& gpa);
  HRESULT memory_written(std::uint64_t gpa, std::uint64_t size);
  // Both 4 KiB multiples that do not wrap; `bitmap` is empty or has a bit for each page.
  HRESULT query_dirty(std::uint64_t gpa, std::uint64_t size, std::span<UINT64> bitmap);
  HRESULT memory_counters(WHV_PARTITION_MEMORY_COUNTERS& counters);

  HRESULT create_processor(UINT32 index);
  HRESULT delete_processor(UINT32 index);
  HRESULT run(UINT32 index, WHV_RUN_VP_EXIT_CONTEXT& context);
  HRESULT cancel(UINT32 index);
  HRESULT get_registers(UINT32 index, std::span<const WHV_REGISTER_NAME> names,
                        WHV_REGISTER_VALUE* values);
  HRESULT set_registers(UINT32 index, std::span<const WHV_REGISTER_NAME> names,
                        const WHV_REGISTER_VALUE* values);
  // states.cc. Of a processor that does not run.
  HRESULT get_state(UINT32 index, ProcessorState state, void* buffer, UINT32 size, UINT32* written);
  HRESULT set_state(UINT32 index, ProcessorState state, std::span<const std::byte> bytes);
  HRESULT processor_counters(UINT32 index, WHV_PROCESSOR_COUNTER_SET set, void* buffer, UINT32 size,
                             UINT32* written);
  HRESULT request_interrupt(const WHV_INTERRUPT_CONTROL& control);
  HRESULT instruction_count(UINT32 index, std::uint64_t& count);
  HRESULT canceled_outside_run(UINT32 index, std::uint64_t& count);

 private:
  HRESULT run_engine(UINT32 index, WHV_RUN_VP_EXIT_CONTEXT& context);
  HRESULT report_plain(UINT32 index, WHV_RUN_VP_EXIT_REASON reason,
                       WHV_RUN_VP_EXIT_CONTEXT& context);
  OnHalt on_halt(const VirtualProcessor& vp) const;
  bool has_apic() const { return properties_.local_apic_mode != WHvX64LocalApicEmulationModeNone; }
  bool has_all(std::span<const WHV_REGISTER_NAME> names) const;

  // Null where the processor was not created, or was deleted.
  VirtualProcessor* processor(UINT32 index);
  // WHV_E_… where there is none, or where it runs.
  HRESULT stopped_processor(UINT32 index);
  bool is_set_up() const { return is_set_up_.load(); }
  bool any_running() const;
  void reset_apic_bases();

  bool cpuid(UINT32 vp, UINT32 function, UINT32 index, std::array<UINT32, 4>& out) override;
  MsrAnswer read_msr(UINT32 vp, UINT32 msr, UINT64& value) override;
  MsrAnswer write_msr(UINT32 vp, UINT32 msr, UINT64 value) override;
  bool exception_exits(UINT32 vector) const override {
    return (exception_exits_.load() >> vector & 1) != 0;
  }
  UINT64 now_ns() const override { return clock_.now_ns(); }
  UINT64 host_ns(UINT64 partition_ns) const override { return clock_.host_ns(partition_ns); }

  const Engine& engine_;
  const Profile& profile_;
  const Strictness& strictness_;

  PartitionClock clock_;
  std::mutex structure_mutex_;  // setup, reset, map, unmap, create_processor: one after the other
  // Exclusive: made_vm_ changes. Shared: it is used; a run() has it all the time.
  std::shared_mutex machine_mutex_;
  std::mutex state_mutex_;  // of the four below; nothing of the engine is called under it
  Properties properties_;   // those that never change after setup are read without it then
  bool frozen_ = false;
  std::optional<CpuPolicy> policy_;
  GpaMap memory_;

  DirtyPages dirty_pages_;
  std::atomic<UINT64> exception_exits_{0};  // of properties_; asked at each exception

  VmShape shape_{};
  std::uint64_t start_ns_ = 0;  // clock_ at setup
  std::unique_ptr<EngineVm> made_vm_;
  // Set once, as the last act of setup(): who sees it sees properties that do not change any more.
  std::atomic<bool> is_set_up_{false};
  std::atomic<bool> resetting_{false};  // no run() begins

  enum class Life : std::uint8_t { kNone, kCreated, kDeleted };
  std::array<std::atomic<Life>, kMaxProcessors> lives_{};
  std::array<VirtualProcessor, kMaxProcessors> processors_;
  std::atomic<bool> closed_{false};
};

}  // namespace runhv::winhv_linux
