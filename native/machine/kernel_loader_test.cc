#include "machine/kernel_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "machine/elf_fixture.h"
#include "machine/memory_layout.h"
#include "testing/file_fixture.h"

namespace runhv::machine {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

class KernelLoader : public testing::FileFixture {
 protected:
  Error load_error(std::span<const std::byte> bytes) {
    const auto loaded = load_kernel(write(bytes), ram_);
    EXPECT_FALSE(loaded);
    return loaded ? Error{} : loaded.error();
  }

  std::vector<std::byte> ram_ = std::vector<std::byte>(4u << 20);
};

TEST_F(KernelLoader, CopiesASegmentToItsPhysicalAddress) {
  const auto loaded = load_kernel(write(ElfFixture{.content = "kernel"}.build()), ram_);

  ASSERT_TRUE(loaded) << to_string(loaded.error());
  EXPECT_EQ(loaded->entry.value, 0x200000u);
  EXPECT_EQ(loaded->end.value, 0x202000u);
  EXPECT_TRUE(std::ranges::equal(std::span(ram_).subspan(0x200000, 6), as_bytes("kernel")));
  EXPECT_EQ(ram_[0x200006], std::byte{0});
}

TEST_F(KernelLoader, TakesAVirtualEntryOfOlderTools) {
  const auto loaded =
      load_kernel(write(ElfFixture{.entry = 0xffffffff80200001, .content = "abc"}.build()), ram_);

  ASSERT_TRUE(loaded) << to_string(loaded.error());
  EXPECT_EQ(loaded->entry.value, 0x200001u);
}

TEST_F(KernelLoader, RefusesWhatIsNoElfImage) {
  const Error text = load_error(as_bytes("#!/bin/sh\n"));
  const Error empty = load_error({});

  EXPECT_EQ(text.code, Code::kCorruptInput);
  EXPECT_EQ(to_string(text),
            "load kernel " + path_ +
                ": it is neither a bzImage nor an x86-64 ELF image: give a vmlinuz or a vmlinux");
  EXPECT_EQ(empty.code, Code::kCorruptInput);
}

TEST_F(KernelLoader, RefusesAnotherMachine) {
  auto image = ElfFixture{}.build();
  store_le<std::uint16_t>(image, 18, 183);  // EM_AARCH64

  EXPECT_THAT(to_string(load_error(image)), HasSubstr("nor an x86-64 ELF image"));
}

TEST_F(KernelLoader, RefusesASegmentOutsideTheFile) {
  const auto hostile = {
      ElfFixture{.file_bytes = 0x1000},
      ElfFixture{.offset = 0x10000},
      ElfFixture{.offset = UINT64_MAX},
      ElfFixture{.file_bytes = UINT64_MAX, .memory_bytes = UINT64_MAX},
  };

  for (const ElfFixture& fixture : hostile) {
    const Error error = load_error(fixture.build());
    EXPECT_EQ(error.code, Code::kCorruptInput);
    EXPECT_THAT(error.detail, HasSubstr("a segment lies outside the file"));
  }
}

TEST_F(KernelLoader, RefusesASegmentThatWouldOverwriteTheTablesOrWrapAround) {
  const auto hostile = {
      ElfFixture{.physical_address = 0x7000},
      ElfFixture{.physical_address = UINT64_MAX - 0x1000},
      ElfFixture{.physical_address = 0x40000000},
      ElfFixture{.memory_bytes = UINT64_MAX},
  };

  for (const ElfFixture& fixture : hostile) {
    const Error error = load_error(fixture.build());
    EXPECT_EQ(error.code, Code::kCorruptInput);
    EXPECT_THAT(error.detail, HasSubstr("1 MiB to 1 GiB"));
  }
}

TEST_F(KernelLoader, SaysHowMuchMemoryTheKernelNeeds) {
  const Error error = load_error(ElfFixture{.memory_bytes = 0x300000}.build());

  EXPECT_EQ(error.code, Code::kInvalidArgument);
  EXPECT_EQ(error.detail, "the kernel ends at 5120 KiB, the machine has 4096 KiB");
}

TEST_F(KernelLoader, RefusesAnEntryInNoSegment) {
  EXPECT_THAT(load_error(ElfFixture{.entry = 0x100000}.build()).detail,
              EndsWith("the entry lies in no segment"));
}

TEST_F(KernelLoader, FindsTheReleaseInTheBanner) {
  const platform::File kernel =
      write(ElfFixture{.content = std::string_view("Linux version %s (%s)\0"
                                                   "Linux version 6.12.1-runhv (me@here) #1",
                                                   61)}
                .build());

  EXPECT_EQ(kernel_release(kernel), "6.12.1-runhv");
}

TEST_F(KernelLoader, CallsAKernelWithoutBannerByItsFileName) {
  const platform::File kernel = write(ElfFixture{.content = "Linux version 6\x1b[2J x"}.build());

  EXPECT_EQ(kernel_release(kernel), std::filesystem::path(path_).filename());
}

// Every header field of a good image, replaced by numbers that break sums: the loader may load or
// refuse, it must not touch anything outside `ram` (the sanitizers see it) nor loop.
TEST_F(KernelLoader, SurvivesMutatedHeaders) {
  const auto good = ElfFixture{.content = "kernel"}.build();
  constexpr std::uint64_t kNumbers[] = {0,          1,          0x38,       0xff,
                                        0xfff,      0x1fffff,   0x3fffff,   0x400000,
                                        0x7fffffff, 0xffffffff, 1ull << 63, UINT64_MAX};
  std::mt19937_64 random(7);

  for (std::size_t offset = 0; offset + 8 <= 120; ++offset) {
    for (const std::uint64_t number : kNumbers) {
      auto image = good;
      store_le(image, offset, number);
      if (number & 1) store_le(image, random() % 112, static_cast<std::uint32_t>(random()));
      const platform::File kernel = write(image);
      const auto loaded = load_kernel(kernel, ram_);
      if (!loaded) {
        EXPECT_FALSE(loaded.error().operation.empty());
        continue;
      }
      EXPECT_LE(loaded->end.value, ram_.size());
      EXPECT_LT(loaded->entry.value, loaded->end.value);
    }
  }
}

}  // namespace
}  // namespace runhv::machine
