// A partition over one softcpu_vm.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "whpapi/whp.h"
#include "winhv_linux/baton.h"
#include "winhv_linux/cpu_policy.h"
#include "winhv_linux/engine.h"
#include "winhv_linux/gpa_map.h"
#include "winhv_linux/properties.h"
#include "winhv_linux/virtual_processor.h"

namespace runhv::winhv {

// The engine serves one call of a VM at a time, so every method takes the baton; a processor runs
// in slices and gives the baton back between them. Only cancel() and request_interrupt() go past
// it.
//
// Threads: any, one per processor in run(). Order of locks: baton, then sleep_mutex_.
class Partition {
 public:
  explicit Partition(const Engine& engine) : engine_(engine) {}
  ~Partition();
  Partition(const Partition&) = delete;
  Partition& operator=(const Partition&) = delete;

  HRESULT set_property(WHV_PARTITION_PROPERTY_CODE code, const void* buffer, UINT32 size);
  HRESULT get_property(WHV_PARTITION_PROPERTY_CODE code, void* buffer, UINT32 size,
                       UINT32* written);
  HRESULT setup();

  // Ends every run() and waits for them; no other call may follow.
  void close();

  HRESULT map(std::uint64_t gpa, const GpaRange& range);
  HRESULT unmap(std::uint64_t gpa, std::uint64_t size);
  HRESULT translate(UINT32 index, std::uint64_t gva, WHV_TRANSLATE_GVA_FLAGS flags,
                    WHV_TRANSLATE_GVA_RESULT_CODE& result, std::uint64_t& gpa);
  HRESULT memory_written(std::uint64_t gpa, std::uint64_t size);

  HRESULT create_processor(UINT32 index);
  HRESULT delete_processor(UINT32 index);
  HRESULT run(UINT32 index, WHV_RUN_VP_EXIT_CONTEXT& context);
  HRESULT cancel(UINT32 index);
  HRESULT get_registers(UINT32 index, std::span<const WHV_REGISTER_NAME> names,
                        WHV_REGISTER_VALUE* values);
  HRESULT set_registers(UINT32 index, std::span<const WHV_REGISTER_NAME> names,
                        const WHV_REGISTER_VALUE* values);
  HRESULT request_interrupt(const WHV_INTERRUPT_CONTROL& control);
  HRESULT instruction_count(UINT32 index, std::uint64_t& count);

 private:
  class EngineTurn {  // holds the baton
   public:
    EngineTurn(Partition& partition, Turn turn) : baton_(partition.baton_) {
      baton_.take(turn, [&] { partition.interrupt_slice(); });
    }
    EngineTurn(const EngineTurn&) = delete;
    EngineTurn& operator=(const EngineTurn&) = delete;
    ~EngineTurn() { baton_.give(); }

   private:
    Baton& baton_;
  };

  HRESULT run_slices(UINT32 index, WHV_RUN_VP_EXIT_CONTEXT& context);
  bool report_exit(UINT32 index, const softcpu_exit& exit, WHV_RUN_VP_EXIT_CONTEXT& context);
  void report_plain(UINT32 index, WHV_RUN_VP_EXIT_REASON reason, WHV_RUN_VP_EXIT_CONTEXT& context);
  bool spurious_exit(UINT32 index, WHV_RUN_VP_EXIT_CONTEXT& context);
  bool has_apic() const { return properties_.local_apic_mode != WHvX64LocalApicEmulationModeNone; }

  void sleep(VirtualProcessor& processor, std::uint64_t generation, std::uint64_t until_ns);
  void wake_sleepers();
  void wake_runnable(UINT32 running);
  void interrupt_slice();

  bool has_all(std::span<const WHV_REGISTER_NAME> names) const;

  // Null where the processor was not created, or was deleted.
  VirtualProcessor* processor(UINT32 index);
  bool is_set_up() const { return vm_.load() != nullptr; }

  static softcpu_answer on_cpuid(void* self, std::uint32_t cpu, std::uint32_t function,
                                 std::uint32_t index, std::uint32_t out[4]);
  static softcpu_answer on_read_msr(void* self, std::uint32_t cpu, std::uint32_t msr,
                                    std::uint64_t* value);
  static softcpu_answer on_write_msr(void* self, std::uint32_t cpu, std::uint32_t msr,
                                     std::uint64_t value);

  const Engine& engine_;
  Baton baton_;
  Properties properties_;
  std::optional<CpuPolicy> policy_;
  // Set once, as the last act of setup(): who sees it without the baton sees properties that do not
  // change any more.
  std::atomic<softcpu_vm*> vm_{nullptr};
  GpaMap memory_;

  enum class Life : std::uint8_t { kNone, kCreated, kDeleted };
  std::array<std::atomic<Life>, SOFTCPU_MAX_CPUS> lives_{};
  std::array<VirtualProcessor, SOFTCPU_MAX_CPUS> processors_;

  std::atomic<std::int32_t> in_slice_{-1};  // the processor that the engine runs now
  std::atomic<bool> closed_{false};
  std::mutex sleep_mutex_;
  std::condition_variable sleepers_;
  std::atomic<std::uint64_t> generation_{0};  // grows with each wake; written under sleep_mutex_
};

}  // namespace runhv::winhv
