#include "machine/acpi.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "machine/memory_layout.h"

namespace runhv::machine {
namespace {

constexpr std::size_t kHeaderSize = 36;
constexpr std::size_t kHeaderLength = 4;
constexpr std::size_t kHeaderChecksum = 9;
constexpr std::size_t kFadtSize = 276;  // revision 6
constexpr std::uint64_t kTableAlignment = 16;

// FADT, §5.2.9.
constexpr std::size_t kFadtBootArchitecture = 109;
constexpr std::size_t kFadtFlags = 112;
constexpr std::size_t kFadtDsdt = 140;  // X_DSDT
constexpr std::uint16_t kNoVga = 1u << 2;
constexpr std::uint32_t kFlags = 1u << 0      // WBINVD
                                 | 1u << 4    // no fixed power button
                                 | 1u << 5    // nor a sleep button
                                 | 1u << 20;  // HW_REDUCED_ACPI

// MADT, §5.2.12.
constexpr std::uint8_t kLocalApic = 0;
constexpr std::uint8_t kIoApic = 1;
constexpr std::uint32_t kEnabled = 1;
// Of pin 0. Linux refuses interrupts 0 and 2 from ACPI, whatever is there (valid_IRQ of
// drivers/acpi/resource.c); behind those of an ISA bus all are free.
constexpr std::uint32_t kFirstInterrupt = 16;

// One virtio transport in AML (§20.2), with what differs from device to device zero:
//   Device (VI00) {
//     Name (_HID, "LNRO0005")  Name (_UID, 0)
//     Name (_CRS, ResourceTemplate () {
//       Memory32Fixed (ReadWrite, 0, 0)
//       Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 0 } }) }
constexpr std::size_t kDeviceName = 5;
constexpr std::size_t kDeviceUid = 28;
constexpr std::size_t kDeviceAddress = 42;
constexpr std::size_t kDeviceSize = 46;
constexpr std::size_t kDeviceInterrupt = 55;
constexpr std::size_t kDeviceBytes = 61;
using namespace std::string_view_literals;
constexpr std::string_view kDevice =
    "\x5b\x82\x3bVI00"
    "\x08_HID\x0dLNRO0005\0"
    "\x08_UID\x0a\0"
    "\x08_CRS\x11\x1a\x0a\x17"
    "\x86\x09\0\x01\0\0\0\0\0\0\0\0"
    "\x89\x06\0\x03\x01\0\0\0\0"
    "\x79\0"sv;
static_assert(kDevice.size() == kDeviceBytes);

void make_sum_zero(std::span<std::byte> bytes, std::size_t checksum) {
  unsigned sum = 0;
  for (const std::byte b : bytes) sum += std::to_integer<unsigned>(b);
  bytes[checksum] = static_cast<std::byte>(0u - sum);
}

// Tables one after the other, each finished before the next begins.
class Tables {
 public:
  explicit Tables(std::span<std::byte> ram) : ram_(ram) {}

  // Begins a table: its header (§5.2.6) and what `size` counts beyond it, zeros.
  std::span<std::byte> begin(std::string_view signature, std::uint8_t revision, std::size_t size) {
    RUNHV_CHECK(next_ + size <= kAcpiEnd.value);
    table_ = ram_.subspan(next_, size);
    put(0, signature);
    store_le(table_, kHeaderLength, static_cast<std::uint32_t>(size));
    store_le(table_, 8, revision);
    put(10, "RUNHV ");
    put(16, "MICRO-VM");
    store_le<std::uint32_t>(table_, 24, 1);
    put(28, "RUNH");
    store_le<std::uint32_t>(table_, 32, 1);
    return table_;
  }

  // The address of the table that is now done.
  std::uint64_t finish() {
    make_sum_zero(table_, kHeaderChecksum);
    const std::uint64_t address = next_;
    next_ = (next_ + table_.size() + kTableAlignment - 1) & ~(kTableAlignment - 1);
    return address;
  }

 private:
  void put(std::size_t offset, std::string_view text) {
    std::ranges::copy(as_bytes(text), table_.begin() + static_cast<std::ptrdiff_t>(offset));
  }

  std::span<std::byte> ram_;
  std::span<std::byte> table_;
  std::uint64_t next_ = kAcpiTablesAddress.value;
};

std::uint64_t write_dsdt(Tables& tables, std::uint32_t device_count) {
  // Scope (\_SB): opcode, length in two bytes (§20.2.4), name.
  constexpr std::size_t kScopeHead = 1 + 2 + 5;
  const std::size_t scope = kScopeHead + device_count * kDeviceBytes;
  const auto table = tables.begin("DSDT", 2, kHeaderSize + scope);
  auto out = table.subspan(kHeaderSize);
  const std::size_t length = scope - 1;
  out[0] = std::byte{0x10};
  out[1] = static_cast<std::byte>(0x40 | (length & 0xf));
  out[2] = static_cast<std::byte>(length >> 4);
  std::ranges::copy(as_bytes("\\_SB_"), out.begin() + 3);
  out = out.subspan(kScopeHead);
  for (std::uint32_t i = 0; i < device_count; ++i, out = out.subspan(kDeviceBytes)) {
    std::ranges::copy(as_bytes(kDevice), out.begin());
    store_le(out, kDeviceName, static_cast<std::uint8_t>('0' + i / 10));
    store_le(out, kDeviceName + 1, static_cast<std::uint8_t>('0' + i % 10));
    store_le(out, kDeviceUid, static_cast<std::uint8_t>(i));
    store_le(out, kDeviceAddress,
             static_cast<std::uint32_t>(kVirtioMmioAddress.value + i * kVirtioMmioSize));
    store_le(out, kDeviceSize, static_cast<std::uint32_t>(kVirtioMmioSize));
    store_le(out, kDeviceInterrupt, kFirstInterrupt + i + 1);
  }
  return tables.finish();
}

std::uint64_t write_fadt(Tables& tables, std::uint64_t dsdt) {
  const auto table = tables.begin("FACP", 6, kFadtSize);
  store_le(table, kFadtBootArchitecture, kNoVga);
  store_le(table, kFadtFlags, kFlags);
  store_le(table, kFadtDsdt, dsdt);
  return tables.finish();
}

std::uint64_t write_madt(Tables& tables, std::uint32_t processor_count) {
  constexpr std::size_t kProcessorBytes = 8;
  constexpr std::size_t kIoApicBytes = 12;
  const auto table =
      tables.begin("APIC", 5, kHeaderSize + 8 + processor_count * kProcessorBytes + kIoApicBytes);
  auto out = table.subspan(kHeaderSize);
  store_le(out, 0, static_cast<std::uint32_t>(kLocalApicAddress.value));
  store_le<std::uint32_t>(out, 4, 0);  // no 8259s
  out = out.subspan(8);
  for (std::uint32_t i = 0; i < processor_count; ++i, out = out.subspan(kProcessorBytes)) {
    store_le(out, 0, kLocalApic);
    store_le(out, 1, static_cast<std::uint8_t>(kProcessorBytes));
    store_le(out, 2, static_cast<std::uint8_t>(i));  // of the processor, of its APIC
    store_le(out, 3, static_cast<std::uint8_t>(i));
    store_le(out, 4, kEnabled);
  }
  store_le(out, 0, kIoApic);
  store_le(out, 1, static_cast<std::uint8_t>(kIoApicBytes));
  store_le(out, 2, static_cast<std::uint8_t>(processor_count));  // its id, as in the MP table
  store_le(out, 4, static_cast<std::uint32_t>(kIoApicAddress.value));
  store_le(out, 8, kFirstInterrupt);
  return tables.finish();
}

void write_rsdp(std::uint64_t xsdt, std::span<std::byte> ram) {
  const auto pointer = ram.subspan(kAcpiPointerAddress.value, 36);
  std::ranges::copy(as_bytes("RSD PTR "), pointer.begin());
  std::ranges::copy(as_bytes("RUNHV "), pointer.begin() + 9);
  store_le<std::uint8_t>(pointer, 15, 2);    // revision
  store_le<std::uint32_t>(pointer, 20, 36);  // length
  store_le(pointer, 24, xsdt);
  make_sum_zero(pointer.first(20), 8);
  make_sum_zero(pointer, 32);
}

}  // namespace

void write_acpi_tables(std::uint32_t processor_count, std::uint32_t device_count,
                       std::span<std::byte> ram) {
  RUNHV_CHECK(processor_count >= 1 && processor_count <= 64 && device_count <= 64);
  Tables tables(ram);
  const std::uint64_t dsdt = write_dsdt(tables, device_count);
  const std::uint64_t fadt = write_fadt(tables, dsdt);
  const std::uint64_t madt = write_madt(tables, processor_count);
  const auto xsdt = tables.begin("XSDT", 1, kHeaderSize + 2 * sizeof(std::uint64_t));
  store_le(xsdt, kHeaderSize, fadt);
  store_le(xsdt, kHeaderSize + sizeof(std::uint64_t), madt);
  write_rsdp(tables.finish(), ram);
}

}  // namespace runhv::machine
