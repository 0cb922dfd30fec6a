// ACPI tables (ACPI 6.5), for kernels that know of no MP table and take no devices from the command
// line: distributions' are built so. Hardware-reduced ACPI: no PM registers, no PIC, no PIT.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace runhv::machine {

// Writes RSDP, XSDT, FADT, MADT and DSDT. The DSDT names virtio transport n of 0..device_count-1
// (virtio-mmio, _HID LNRO0005), whose interrupt goes to pin n + 1 of the I/O APIC, as in the MP
// table. REQUIRES: ram reaches to kHighMemoryStart; 1 <= processor_count <= 64; device_count <= 64.
void write_acpi_tables(std::uint32_t processor_count, std::uint32_t device_count,
                       std::span<std::byte> ram);

}  // namespace runhv::machine
