// One virtual processor of a partition.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>

#include "base/guest_address.h"
#include "base/result.h"
#include "hv/exit.h"
#include "hv/registers.h"

namespace runhv::hv {

struct WhpFunctions;

class VirtualProcessor {
 public:
  VirtualProcessor(const WhpFunctions& functions, void* partition, std::uint32_t index)
      : whp_(functions), partition_(partition), index_(index) {}
  ~VirtualProcessor();
  VirtualProcessor(const VirtualProcessor&) = delete;
  VirtualProcessor& operator=(const VirtualProcessor&) = delete;

  std::uint32_t index() const { return index_; }

  // Runs until an exit. An error says that the hypervisor gave none; what the guest did wrong is an
  // exit. Threads: one at a time, any.
  Result<Exit> run();

  // Makes the run that is under way, or else the next one, return CanceledExit. Sticky, coalesces.
  // Threads: any, until the partition is destroyed.
  void cancel();

  // All or nothing. REQUIRES: the processor is not running. names.size() == values.size().
  Result<void> read(std::span<const Register> names, std::span<RegisterValue> values) const;
  // At most 32.
  Result<void> write(std::span<const RegisterWrite> writes);
  Result<void> write(std::initializer_list<RegisterWrite> writes) {
    return write(std::span(writes.begin(), writes.size()));
  }

  // Walks the guest's page tables; nullopt where they do not map `gva` for `access`.
  // REQUIRES: the processor is not running.
  Result<std::optional<Gpa>> translate(std::uint64_t gva, Access access) const;

  // Guest instructions completed; UINT64_MAX where the engine cannot count.
  // REQUIRES: called by the thread that runs the processor, or after its end.
  std::uint64_t instruction_count() const;

 private:
  const WhpFunctions& whp_;
  void* partition_;
  std::uint32_t index_;
};

}  // namespace runhv::hv
