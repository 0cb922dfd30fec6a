// One virtual processor on KVM: runs until something that WHP's client must see, and tells it as if
// the instruction had not been executed.
#pragma once

#include <atomic>
#include <memory>
#include <span>

#include "platform/device_file.h"
#include "platform/interruptible.h"
#include "winhv_linux/engine.h"
#include "winhv_linux/engines/guest_code.h"
#include "winhv_linux/engines/kvm_interface.h"
#include "winhv_linux/engines/kvm_memory.h"
#include "winhv_linux/engines/kvm_registers.h"

namespace runhv::winhv_linux {

// Threads: cancel() any; the others one at a time.
class KvmProcessor {
 public:
  // `file` is of KVM_CREATE_VCPU and shares `run_bytes`. `memory` and `answers` outlive it.
  static HRESULT create(platform::DeviceFile file, std::size_t run_bytes, UINT32 index,
                        std::span<const kvm_cpuid_entry2> cpuid, const KvmMemory& memory,
                        CpuAnswers& answers, std::unique_ptr<KvmProcessor>& processor);
  KvmProcessor(const KvmProcessor&) = delete;
  KvmProcessor& operator=(const KvmProcessor&) = delete;

  HRESULT run(EngineExit& exit);
  void cancel();

  KvmRegisters& registers() { return registers_; }
  bool translate(UINT64 gva, WHV_MEMORY_ACCESS_TYPE access, UINT64& gpa) const;
  const platform::DeviceFile& file() const { return file_; }

 private:
  // What becomes of a return of KVM_RUN.
  enum class Next : UINT8 { kExit, kAgain, kUnknown };

  KvmProcessor(platform::DeviceFile file, platform::DevicePages pages, UINT32 index,
               const KvmMemory& memory, CpuAnswers& answers);
  HRESULT run_inside(EngineExit& exit);
  Next on_return(EngineExit& exit);
  Next on_port(EngineExit& exit);
  Next on_memory(EngineExit& exit);
  Next on_msr(EngineExit& exit);
  Next on_internal_error(EngineExit& exit);
  bool finish_access();
  void tell(EngineExit& exit) const;

  const platform::DeviceFile file_;
  const platform::DevicePages pages_;
  kvm_run& run_;
  const UINT32 index_;
  const KvmMemory& memory_;
  CpuAnswers& answers_;
  KvmRegisters registers_;
  platform::Interruptible thread_;
  std::atomic<bool> canceled_{false};
  bool access_is_open_ = false;  // KVM has the answer to an MSR still to take
};

}  // namespace runhv::winhv_linux
