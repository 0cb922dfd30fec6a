// Guest memory as KVM takes it: slots that do not overlap and cannot be changed, only replaced.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "winhv_linux/dirty_pages.h"
#include "winhv_linux/engines/kvm_interface.h"
#include "winhv_linux/engines/page_walk.h"
#include "winhv_linux/gpa_map.h"

namespace runhv::winhv_linux {

// Threads: any.
class KvmMemory final : public PhysicalMemory {
 public:
  // What it asks of KVM: 0, or minus an error number.
  struct Requests {
    std::function<long(const kvm_userspace_memory_region&)> set_slot;  // KVM_SET_USER_MEMORY_REGION
    // KVM_GET_DIRTY_LOG, with a bit for each page: which were written since the last time.
    std::function<long(UINT32 slot, std::span<UINT64> bitmap)> take_log;
  };

  // `dirty_pages` outlives it.
  KvmMemory(Requests requests, UINT32 slot_count, DirtyPages& dirty_pages)
      : requests_(std::move(requests)), slot_count_(slot_count), dirty_pages_(dirty_pages) {}

  // Notes what KVM still knows of written pages.
  ~KvmMemory();
  KvmMemory(const KvmMemory&) = delete;
  KvmMemory& operator=(const KvmMemory&) = delete;

  // Replaces, page by page. While it does, a processor may find nothing where the old mapping or
  // the new one is: who is told of such an access asks allows(), which waits.
  HRESULT map(UINT64 gpa, const GpaRange& range);
  HRESULT unmap(UINT64 gpa, UINT64 size);
  // EngineVm::take_dirty. A part of a tracked range whose other part was replaced counts as written
  // as a whole: KVM forgets what it knew when a slot goes.
  HRESULT take_dirty(UINT64 gpa, UINT64 size, std::span<UINT64> bitmap);

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
  HRESULT add_rest(UINT64 gpa, const GpaRange& range);
  HRESULT note_written(Slots::const_iterator at) const;
  Slots::const_iterator first_in(UINT64 gpa) const;

  const Requests requests_;
  const UINT32 slot_count_;
  DirtyPages& dirty_pages_;
  mutable std::mutex mutex_;  // of the rest
  Slots slots_;
  std::vector<UINT32> free_;  // numbers below used_ that are not in use
  UINT32 used_ = 0;
};

}  // namespace runhv::winhv_linux
