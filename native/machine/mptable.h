// The MP table (Intel MultiProcessor Specification 1.4): without ACPI it is where a kernel learns
// of its processors and of the I/O APIC.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace runhv::machine {

// Writes the floating pointer and the table. Interrupt n of 1..device_interrupts goes to pin n of
// the I/O APIC; pin 0 is not connected, since Linux takes interrupt 0 for "none".
// REQUIRES: ram reaches to kLowMemoryEnd; 1 <= processor_count <= 64; device_interrupts <= 64.
void write_mp_table(std::uint32_t processor_count, std::uint32_t device_interrupts,
                    std::span<std::byte> ram);

}  // namespace runhv::machine
