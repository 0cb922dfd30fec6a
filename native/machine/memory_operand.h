// The memory operand of an instruction that the hypervisor left to us: registers of devices, RAM,
// or both where it spans two pages.
#pragma once

#include <array>
#include <optional>

#include "base/guest_address.h"
#include "devices/bus.h"
#include "emu/mmio_instruction.h"
#include "memory/guest_memory.h"

namespace runhv::machine {

struct OperandPart {
  std::optional<Gpa> gpa;  // none: no page is there
  unsigned size = 0;       // bytes, within one page
};

// A processor takes an access that spans two pages apart, and each part goes where its page is: RAM
// is read and written as such, a device sees only its part, and where nothing is, ones are read and
// writes are dropped.
class MemoryOperand final : public emu::MmioOperand {
 public:
  // Their sizes are together that of the operand. All outlive it.
  MemoryOperand(const memory::GuestMemory& memory, devices::Bus& bus, OperandPart first,
                OperandPart second = {})
      : memory_(memory), bus_(bus), parts_{first, second} {}

  std::uint64_t read(unsigned size_bytes) override;
  void write(unsigned size_bytes, std::uint64_t value) override;

  // False: a device has more to do, the guest must execute the instruction again.
  bool done() const { return done_; }

 private:
  std::uint64_t read_part(const OperandPart& part);
  void write_part(const OperandPart& part, std::uint64_t value);

  const memory::GuestMemory& memory_;
  devices::Bus& bus_;
  const std::array<OperandPart, 2> parts_;
  bool done_ = true;
};

}  // namespace runhv::machine
