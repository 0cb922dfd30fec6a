// A partition: the hypervisor's object for one virtual machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/guest_address.h"
#include "base/result.h"
#include "hv/virtual_processor.h"

namespace runhv::hv {

class WhpLibrary;
struct WhpFunctions;

struct Interrupt {
  enum class Type : std::uint8_t {
    kFixed = 0,
    kLowestPriority = 1,
    kNmi = 4,
    kInit = 5,
    kSipi = 6
  };
  Type type = Type::kFixed;
  bool logical_destination = false;
  bool level_triggered = false;
  std::uint32_t destination = 0;
  std::uint8_t vector = 0;
};

// WHP: WHvCreatePartition to WHvDeletePartition, with a local APIC in the hypervisor and Hyper-V's
// enlightenments for the guest. One partition with mapped memory per process.
class Partition {
 public:
  // Makes the partition and its processors; processor 0 can run, the others wait for SIPI.
  // `library` outlives the partition. 1 <= processor_count <= 64.
  static Result<std::unique_ptr<Partition>> create(const WhpLibrary& library,
                                                   std::uint32_t processor_count);
  // REQUIRES: no call on it or on its processors is under way. Unmaps all; the memory may be freed
  // after that.
  ~Partition();
  Partition(const Partition&) = delete;
  Partition& operator=(const Partition&) = delete;

  // Guest reads, writes and executes `memory` at `gpa`; both page-aligned. Threads: one at a time.
  Result<void> map(Gpa gpa, std::span<std::byte> memory);

  VirtualProcessor& processor(std::uint32_t index) { return *processors_[index]; }
  std::uint32_t processor_count() const { return static_cast<std::uint32_t>(processors_.size()); }

  // Threads: any.
  Result<void> request_interrupt(const Interrupt& interrupt);

  // The host wrote guest memory that a processor may have decoded. Nothing to do on real hardware.
  // Threads: any.
  void memory_written(Gpa gpa, std::uint64_t size_bytes);

 private:
  Partition(const WhpFunctions& functions, void* handle) : whp_(functions), handle_(handle) {}
  Result<void> configure(std::uint32_t processor_count);
  Result<void> set_property(std::uint32_t code, const void* value, std::uint32_t size,
                            const char* name);

  const WhpFunctions& whp_;
  void* handle_;  // WHV_PARTITION_HANDLE
  std::vector<std::unique_ptr<VirtualProcessor>> processors_;
};

}  // namespace runhv::hv
