#include "machine/acpi.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/bytes.h"
#include "machine/memory_layout.h"

namespace runhv::machine {
namespace {

using Bytes = std::span<const std::byte>;

unsigned sum(Bytes bytes) {
  unsigned value = 0;
  for (const std::byte b : bytes) value += std::to_integer<unsigned>(b);
  return value % 256;
}

std::string text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The table at `address`, checked as a kernel checks it.
Bytes table(Bytes ram, std::uint64_t address, const std::string& signature) {
  const auto length = load_le<std::uint32_t>(ram, static_cast<std::size_t>(address) + 4);
  const Bytes bytes = ram.subspan(static_cast<std::size_t>(address), length);
  EXPECT_EQ(text(bytes.first(4)), signature);
  EXPECT_EQ(sum(bytes), 0u) << signature;
  EXPECT_LE(address + length, kAcpiEnd.value);
  return bytes;
}

struct Found {
  Bytes fadt, madt, dsdt;
};

Found find(Bytes ram) {
  const Bytes pointer = ram.subspan(kAcpiPointerAddress.value, 36);
  EXPECT_EQ(text(pointer.first(8)), "RSD PTR ");
  EXPECT_EQ(sum(pointer.first(20)), 0u);
  EXPECT_EQ(sum(pointer), 0u);
  const Bytes xsdt = table(ram, load_le<std::uint64_t>(pointer, 24), "XSDT");
  EXPECT_EQ(xsdt.size(), 36u + 16u);
  const Bytes fadt = table(ram, load_le<std::uint64_t>(xsdt, 36), "FACP");
  return {fadt, table(ram, load_le<std::uint64_t>(xsdt, 44), "APIC"),
          table(ram, load_le<std::uint64_t>(fadt, 140), "DSDT")};
}

TEST(Acpi, IsHardwareReduced) {
  std::vector<std::byte> ram(1u << 20);

  write_acpi_tables(1, 2, ram);

  const Found found = find(ram);
  EXPECT_EQ(found.fadt.size(), 276u);
  EXPECT_NE(load_le<std::uint32_t>(found.fadt, 112) & 1u << 20, 0u);
}

TEST(Acpi, NamesEveryProcessorAndTheIoApic) {
  std::vector<std::byte> ram(1u << 20);

  write_acpi_tables(2, 1, ram);

  const Bytes madt = find(ram).madt;
  ASSERT_EQ(madt.size(), 44u + 2 * 8 + 12);
  EXPECT_EQ(load_le<std::uint32_t>(madt, 36), 0xfee00000u);
  EXPECT_EQ(load_le<std::uint64_t>(madt, 44), 0x00000001'00000800u);
  EXPECT_EQ(load_le<std::uint64_t>(madt, 52), 0x00000001'01010800u);
  EXPECT_EQ(load_le<std::uint32_t>(madt, 60), 0x00020c01u);
  EXPECT_EQ(load_le<std::uint32_t>(madt, 64), 0xfec00000u);
  EXPECT_EQ(load_le<std::uint32_t>(madt, 68), 16u);
}

// iasl -d reads the same bytes as the comment in acpi.cc shows them.
TEST(Acpi, NamesEveryTransportWithItsInterrupt) {
  std::vector<std::byte> ram(1u << 20);

  write_acpi_tables(1, 12, ram);

  const Bytes dsdt = find(ram).dsdt;
  const Bytes scope = dsdt.subspan(36);
  ASSERT_EQ(scope.size(), 8u + 12 * 61);
  EXPECT_EQ(scope[0], std::byte{0x10});
  const std::size_t length =
      (std::to_integer<std::size_t>(scope[1]) & 0xf) | std::to_integer<std::size_t>(scope[2]) << 4;
  EXPECT_EQ(length, scope.size() - 1);
  const Bytes last = scope.last(61);
  EXPECT_EQ(text(last.subspan(3, 4)), "VI11");
  EXPECT_EQ(text(last.subspan(13, 8)), "LNRO0005");
  EXPECT_EQ(load_le<std::uint8_t>(last, 28), 11u);
  EXPECT_EQ(load_le<std::uint32_t>(last, 42), 0xd0000000u + 11 * 0x200);
  EXPECT_EQ(load_le<std::uint32_t>(last, 46), 0x200u);
  EXPECT_EQ(load_le<std::uint32_t>(last, 55), 16u + 12);
}

TEST(Acpi, HasRoomForTheLargestMachine) {
  std::vector<std::byte> ram(1u << 20);

  write_acpi_tables(64, 64, ram);

  EXPECT_EQ(find(ram).dsdt.size(), 36u + 8 + 64 * 61);
}

}  // namespace
}  // namespace runhv::machine
