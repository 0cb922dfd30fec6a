// The guest's own page tables, as its processor would walk them (SDM Vol.3 chapter 4). Sets no
// accessed or dirty bit.
#pragma once

#include <optional>
#include <span>

#include "whpapi/whp.h"

namespace runhv::winhv_linux {

struct PagingState {
  UINT64 cr0, cr3, cr4, efer;
  bool user;  // the access is made at privilege level 3
};

// Guest-physical memory, for who only reads it.
class PhysicalMemory {
 public:
  // False where not all of it is memory. The tables are the guest's, so any address may come.
  virtual bool read(UINT64 gpa, std::span<std::byte> to) const = 0;

 protected:
  ~PhysicalMemory() = default;
};

// The guest-physical address of the linear address `gva`; nullopt where the tables do not map it,
// or not for `access`, or lie where no memory is.
std::optional<UINT64> walk_page_tables(const PagingState& state, UINT64 gva,
                                       WHV_MEMORY_ACCESS_TYPE access, const PhysicalMemory& memory);

}  // namespace runhv::winhv_linux
