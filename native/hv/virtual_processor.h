// One virtual processor of a partition.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <mutex>
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

  // Makes the run that is under way, or else the next one, return CanceledExit, whose state is not
  // told. Cancels that nobody has seen yet are one; each CanceledExit has a cancel of its own: the
  // stale ones of WHP end here. Threads: any, until the partition is destroyed.
  void cancel();

  // All or nothing. REQUIRES: the processor is not running. names.size() == values.size().
  Result<void> read(std::span<const Register> names, std::span<RegisterValue> values) const;
  // At most 32.
  Result<void> write(std::span<const RegisterWrite> writes);
  Result<void> write(std::initializer_list<RegisterWrite> writes) {
    return write(std::span(writes.begin(), writes.size()));
  }

  // Walks the guest's page tables; nullopt where they do not map `gva` for `access`. Of the address
  // that they give nothing is said: there may be no memory.
  // REQUIRES: the processor is not running.
  Result<std::optional<Gpa>> translate(std::uint64_t gva, Access access) const;

  // Guest instructions completed at the last exit; UINT64_MAX where the engine cannot count.
  // Threads: any.
  std::uint64_t instruction_count() const;

 private:
  const WhpFunctions& whp_;
  void* partition_;
  std::uint32_t index_;

  // WHP is told of a cancel only between these two: one that comes otherwise would end a later run
  // that it was not meant for, and one that meets the end of the partition has crashed Windows.
  std::mutex gate_;
  bool running_ = false;   // inside WHP; guarded by gate_
  bool canceled_ = false;  // and run() has not told so; guarded by gate_
};

}  // namespace runhv::hv
