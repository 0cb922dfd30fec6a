#include "machine/boot_params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "machine/bz_image_fixture.h"
#include "machine/machine.h"
#include "machine/mptable.h"
#include "testing/files.h"

namespace runhv::machine {
namespace {

// Bytes as hexadecimal pairs; spaces group them, and a line's part after '#' explains it.
std::vector<std::byte> golden(std::string_view text) {
  std::vector<std::byte> bytes;
  std::string digits;
  bool comment = false;
  for (const char c : text) {
    if (c == '\n') comment = false;
    if (c == '#') comment = true;
    if (comment || c == ' ' || c == '\n') continue;
    digits += c;
    if (digits.size() < 2) continue;
    bytes.push_back(static_cast<std::byte>(std::stoi(digits, nullptr, 16)));
    digits.clear();
  }
  return bytes;
}

std::vector<std::byte> at(const std::vector<std::byte>& ram, std::uint64_t offset,
                          std::size_t size) {
  return {ram.begin() + static_cast<std::ptrdiff_t>(offset),
          ram.begin() + static_cast<std::ptrdiff_t>(offset + size)};
}

TEST(BootParams, WritesTheZeroPage) {
  std::vector<std::byte> ram(4u << 20);
  const auto layout = ram_layout(ram.size());

  ASSERT_TRUE(
      write_boot_params(layout, "quiet", LoadedKernel{}, LoadedInitrd{Gpa{0x3ff000}, 0x123}, ram));

  EXPECT_EQ(at(ram, 0x7000 + 0x1e8, 1), golden("03          # e820 entries"));
  EXPECT_EQ(at(ram, 0x7000 + 0x1fe, 2), golden("55 aa       # boot flag"));
  EXPECT_EQ(at(ram, 0x7000 + 0x202, 16), golden(R"(
      48 64 72 53   # "HdrS"
      0f 02         # version 2.15
      00 00 00 00 00 00 00 00
      ff            # loader without a number
      01            # LOADED_HIGH
  )"));
  EXPECT_EQ(at(ram, 0x7000 + 0x218, 8), golden(R"(
      00 f0 3f 00   # initrd at 4 MiB - 4 KiB
      23 01 00 00   # its size
  )"));
  EXPECT_EQ(at(ram, 0x7000 + 0x228, 4), golden("00 00 02 00  # command line at 128 KiB"));
  EXPECT_EQ(at(ram, 0x7000 + 0x2d0, 60), golden(R"(
      00 00 00 00 00 00 00 00  00 f0 09 00 00 00 00 00  01 00 00 00   # RAM, to the MP table
      00 f0 09 00 00 00 00 00  00 10 00 00 00 00 00 00  02 00 00 00   # reserved
      00 00 10 00 00 00 00 00  00 00 30 00 00 00 00 00  01 00 00 00   # RAM from 1 MiB
  )"));
  EXPECT_EQ(at(ram, 0x20000, 6), golden("71 75 69 65 74 00"));
}

TEST(BootParams, PutsMemoryAboveTheDevicesAt4GiB) {
  const RamLayout layout = ram_layout((3ull << 30) + (1u << 20));
  EXPECT_EQ(layout.low_bytes, 3ull << 30);
  EXPECT_EQ(layout.high_bytes, 1u << 20);

  std::vector<std::byte> ram(4u << 20);
  ASSERT_TRUE(
      write_boot_params(RamLayout{ram.size(), 1u << 20}, "", LoadedKernel{}, std::nullopt, ram));

  EXPECT_EQ(at(ram, 0x7000 + 0x1e8, 1), golden("04"));
  EXPECT_EQ(at(ram, 0x7000 + 0x2d0 + 60, 20), golden(R"(
      00 00 00 00 01 00 00 00  00 00 10 00 00 00 00 00  01 00 00 00
  )"));
}

TEST(BootParams, RefusesACommandLineThatDoesNotFitOrHidesSomething) {
  std::vector<std::byte> ram(4u << 20);
  const auto layout = ram_layout(ram.size());

  const auto write = [&](const std::string& text, std::uint64_t most = 2047) {
    LoadedKernel kernel;
    kernel.command_line_bytes = most;
    return write_boot_params(layout, text, kernel, std::nullopt, ram);
  };
  const auto longest = write(std::string(MachineLimits::kMaxCommandLineBytes - 1, 'x'));
  const auto too_long = write(std::string(MachineLimits::kMaxCommandLineBytes, 'x'), UINT64_MAX);
  const auto too_long_for_the_kernel = write("quiet", 4);
  const auto newline = write("quiet\nfoo");

  EXPECT_TRUE(longest);
  ASSERT_FALSE(too_long);
  EXPECT_EQ(too_long.error().code, Code::kInvalidArgument);
  EXPECT_EQ(to_string(too_long.error()), "use kernel command line: 2048 bytes; at most 2047 fit");
  ASSERT_FALSE(too_long_for_the_kernel);
  EXPECT_EQ(too_long_for_the_kernel.error().detail, "5 bytes; at most 4 fit");
  ASSERT_FALSE(newline);
  EXPECT_EQ(newline.error().code, Code::kInvalidArgument);
}

TEST(BootParams, KeepsTheSetupHeaderOfABzImage) {
  std::vector<std::byte> ram(4u << 20);
  const auto image = BzImageFixture{.load_flags = 0x21}.build();
  LoadedKernel kernel;
  kernel.setup_header.assign(image.begin() + 0x1f1, image.begin() + 0x26a);

  ASSERT_TRUE(write_boot_params(ram_layout(ram.size()), "quiet", kernel,
                                LoadedInitrd{Gpa{0x3ff000}, 0x123}, ram));

  EXPECT_EQ(at(ram, 0x7000 + 0x206, 2), golden("0f 02"));
  EXPECT_EQ(at(ram, 0x7000 + 0x210, 2), golden("ff 21        # loader, its load flags"));
  EXPECT_EQ(at(ram, 0x7000 + 0x218, 8), golden("00 f0 3f 00 23 01 00 00"));
  EXPECT_EQ(at(ram, 0x7000 + 0x228, 4), golden("00 00 02 00"));
  EXPECT_EQ(at(ram, 0x7000 + 0x258, 8), golden("00 00 20 00 00 00 00 00  # preferred address"));
  EXPECT_EQ(at(ram, 0x7000 + 0x1e8, 1), golden("03"));
}

// Archives of the initrd, without names: open files are enough.
std::vector<platform::File> archives(std::initializer_list<std::vector<std::byte>> contents) {
  std::vector<platform::File> files;
  for (const auto& content : contents) {
    const std::string path = (std::filesystem::temp_directory_path() /
                              ("runhv-initrd-" + std::to_string(std::random_device{}())))
                                 .string();
    EXPECT_TRUE(testing::write_file(path, content));
    auto file = platform::File::open(path, platform::File::Access::kRead);
    std::filesystem::remove(path);
    EXPECT_TRUE(file);
    files.push_back(std::move(*file));
  }
  return files;
}

LoadedKernel kernel_until(std::uint64_t end) { return {Gpa{0}, Gpa{end}}; }

TEST(BootParams, RefusesAnInitrdThatWouldMeetTheKernel) {
  const auto initrd = archives({std::vector<std::byte>(0x2001, std::byte{7})});
  std::vector<std::byte> ram(4u << 20);

  const auto loaded = load_initrd(initrd, kernel_until(0x3fd000), ram);
  const auto overlapping = load_initrd(initrd, kernel_until(0x3fd001), ram);
  const auto larger = load_initrd(initrd, kernel_until(0), std::span(ram).first(0x2000));

  ASSERT_TRUE(loaded) << to_string(loaded.error());
  EXPECT_EQ(loaded->address.value, 0x3fd000u);
  EXPECT_EQ(loaded->size_bytes, 0x2004u);
  EXPECT_EQ(ram[0x3fd000], std::byte{7});
  EXPECT_EQ(ram[0x3ff000], std::byte{7});
  EXPECT_EQ(ram[0x3ff001], std::byte{0});
  ASSERT_FALSE(overlapping);
  EXPECT_EQ(overlapping.error().code, Code::kInvalidArgument);
  EXPECT_TRUE(larger);
}

TEST(BootParams, PutsOneArchiveBehindTheOtherOnWholeWords) {
  const auto initrd =
      archives({std::vector<std::byte>(5, std::byte{1}), std::vector<std::byte>(4, std::byte{2})});
  std::vector<std::byte> ram(4u << 20);

  const auto loaded = load_initrd(initrd, kernel_until(0), ram);

  ASSERT_TRUE(loaded) << to_string(loaded.error());
  EXPECT_EQ(loaded->size_bytes, 12u);
  EXPECT_EQ(at(ram, loaded->address.value, 13), golden("01 01 01 01 01 00 00 00 02 02 02 02 00"));
}

TEST(BootParams, PutsTheInitrdWhereTheKernelTakesIt) {
  const auto initrd = archives({std::vector<std::byte>(0x1000, std::byte{7})});
  std::vector<std::byte> ram(4u << 20);
  LoadedKernel kernel = kernel_until(0x200000);

  kernel.initrd_end = 0x300000;
  const auto below = load_initrd(initrd, kernel, ram);
  kernel.initrd_end = 0x200fff;
  const auto nowhere = load_initrd(initrd, kernel, ram);
  kernel.initrd_end = 0x100;
  const auto nothing = load_initrd(initrd, kernel, ram);

  ASSERT_TRUE(below) << to_string(below.error());
  EXPECT_EQ(below->address.value, 0x2ff000u);
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, Code::kInvalidArgument);
  EXPECT_FALSE(nothing);
}

TEST(EntryTables, MapTheFirstGiBOneToOne) {
  std::vector<std::byte> ram(1u << 20);

  write_entry_tables(ram);

  EXPECT_EQ(at(ram, 0x9000, 16), golden("03 a0 00 00 00 00 00 00  00 00 00 00 00 00 00 00"));
  EXPECT_EQ(at(ram, 0xa000, 16), golden("03 b0 00 00 00 00 00 00  00 00 00 00 00 00 00 00"));
  EXPECT_EQ(at(ram, 0xb000, 16), golden("83 00 00 00 00 00 00 00  83 00 20 00 00 00 00 00"));
  EXPECT_EQ(at(ram, 0xbff8, 8), golden("83 00 e0 3f 00 00 00 00  # the last 2 MiB"));
  EXPECT_EQ(at(ram, 0x1010, 16), golden(R"(
      ff ff 00 00 00 9b af 00   # 64-bit code
      ff ff 00 00 00 93 cf 00   # data
  )"));
}

TEST(MpTable, DescribesOneProcessorAndTwoInterrupts) {
  std::vector<std::byte> ram(1u << 20);

  write_mp_table(1, 2, ram);

  EXPECT_EQ(at(ram, 0x9fc00, 16), golden(R"(
      5f 4d 50 5f   # "_MP_"
      00 f0 09 00   # the table
      01 04         # one paragraph, version 1.4
      a7            # checksum
      00 00 00 00 00
  )"));
  const auto table = golden(R"(
      50 43 4d 50   # "PCMP"
      70 00         # 112 bytes
      04            # 1.4
      70            # checksum
      52 55 4e 48 56 20 20 20                # "RUNHV   "
      4d 49 43 52 4f 2d 56 4d 20 20 20 20    # "MICRO-VM    "
      00 00 00 00  00 00                     # no OEM table
      07 00                                  # entries
      00 00 e0 fe                            # local APICs
      00 00 00 00                            # no extended table
      00 00 14 03  00 06 00 00  01 02 00 00  00 00 00 00 00 00 00 00   # boot processor
      01 00 49 53 41 20 20 20                # ISA bus
      02 01 11 01  00 00 c0 fe               # I/O APIC 1
      03 00 00 00  00 01 01 01               # interrupt 1 to pin 1
      03 00 00 00  00 02 01 02               # interrupt 2 to pin 2
      04 03 00 00  00 00 ff 00               # LINT0: ExtINT
      04 01 00 00  00 00 ff 01               # LINT1: NMI
  )");
  EXPECT_EQ(at(ram, 0x9f000, table.size()), table);
  EXPECT_EQ(ram[0x9f000 + table.size()], std::byte{0});
}

TEST(MpTable, HasRoomFor64Processors) {
  std::vector<std::byte> ram(1u << 20);

  write_mp_table(64, 11, ram);

  const auto size = load_le<std::uint16_t>(std::span<const std::byte>(ram), 0x9f004);
  EXPECT_EQ(size, 44 + 64 * 20 + (4 + 11) * 8);
  unsigned sum = 0;
  for (const std::byte b : at(ram, 0x9f000, size)) sum += std::to_integer<unsigned>(b);
  EXPECT_EQ(sum % 256, 0u);
  EXPECT_EQ(at(ram, 0x9fc00, 4), golden("5f 4d 50 5f"));
}

}  // namespace
}  // namespace runhv::machine
