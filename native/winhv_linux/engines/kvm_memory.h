// Guest memory as KVM takes it: slots that do not overlap and cannot be changed, only replaced.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "winhv_linux/engines/kvm_interface.h"
#include "winhv_linux/engines/page_walk.h"
#include "winhv_linux/gpa_map.h"

namespace runhv::winhv_linux {

// Threads: any.
class KvmMemory final : public PhysicalMemory {
 public:
  // KVM_SET_USER_MEMORY_REGION: 0, or minus an error number.
  using SetSlot = std::function<long(const kvm_userspace_memory_region&)>;

  KvmMemory(SetSlot set_slot, UINT32 slot_count)
      : set_slot_(std::move(set_slot)), slot_count_(slot_count) {}

  // Replaces, page by page. While it does, a processor may find nothing where the old mapping or
  // the new one is: who is told of such an access asks allows(), which waits.
  HRESULT map(UINT64 gpa, const GpaRange& range);
  HRESULT unmap(UINT64 gpa, UINT64 size);

  bool has_range(UINT64 gpa) const;
  // Whether there is a range that lets the guest do it. KVM knows no right to execute.
  bool allows(UINT64 gpa, WHV_MEMORY_ACCESS_TYPE access) const;
  bool read(UINT64 gpa, std::span<std::byte> to) const override;

 private:
  static constexpr UINT32 kNoSlot = UINT32_MAX;
  struct Slot {
    GpaRange range;
    UINT32 number;  // kNoSlot: what the guest may not even read is nothing to KVM
  };
  using Slots = std::map<UINT64, Slot>;  // by first address; they do not overlap

  Slots::const_iterator containing(UINT64 gpa) const;
  HRESULT cut(UINT64 gpa, UINT64 size);
  HRESULT add(UINT64 gpa, const GpaRange& range);

  const SetSlot set_slot_;
  const UINT32 slot_count_;
  mutable std::mutex mutex_;  // of the rest
  Slots slots_;
  std::vector<UINT32> free_;  // numbers below used_ that are not in use
  UINT32 used_ = 0;
};

}  // namespace runhv::winhv_linux
