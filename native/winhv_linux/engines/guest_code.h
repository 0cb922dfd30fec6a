// The guest's code around an exit. KVM tells of an IN before it is executed, and of most OUTs; of a
// store to where no memory is, only afterwards: WHP's exit is before it, so it must be found again.
#pragma once

#include <linux/kvm.h>
#include <optional>
#include <span>

#include "emu/mmio_instruction.h"
#include "winhv_linux/engines/page_walk.h"

namespace runhv::winhv_linux {

struct PortAccess {
  UINT16 port;
  UINT32 size;  // 1, 2, 4
  bool is_write;
};

struct PortInstruction {
  UINT32 length = 0;
  bool is_string = false;
  bool has_rep = false;
};

struct StoredPart {
  UINT64 gpa;                       // of its first byte
  std::span<const std::byte> data;  // at most 8 bytes, all in one page
};

// A stopped processor. All that it refers to outlives it.
class GuestCode {
 public:
  GuestCode(const kvm_sync_regs& registers, const PagingState& paging, const PhysicalMemory& memory)
      : registers_(registers), paging_(paging), memory_(memory) {}

  // How many bytes of code there are from `rip` on, at most to.size().
  std::size_t fetch(UINT64 rip, std::span<std::byte> to) const;
  // Where the code at `rip` is in guest-physical memory.
  std::optional<UINT64> address_of(UINT64 rip) const;

  // The instruction of `access` that begins, or ends, at `rip`.
  std::optional<PortInstruction> port_at(UINT64 rip, const PortAccess& access) const;
  std::optional<PortInstruction> port_before(UINT64 rip, const PortAccess& access) const;

  // Bytes of the MOV that ends at `rip` and stores what `part` is, or is the end of. Where several
  // do, each stores the same and goes on at the same place: any of them is right.
  std::optional<UINT32> store_before(UINT64 rip, const StoredPart& part) const;

  bool is_64_bit() const { return code_size() == emu::CodeSize::k64; }

 private:
  emu::CodeSize code_size() const;
  UINT64 linear(UINT64 rip) const;
  bool stores(const emu::MmioInstruction& instruction, UINT64 rip, const StoredPart& part) const;

  const kvm_sync_regs& registers_;
  const PagingState& paging_;
  const PhysicalMemory& memory_;
};

}  // namespace runhv::winhv_linux
