#include "machine/bz_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "machine/bz_image_fixture.h"
#include "testing/file_fixture.h"

namespace runhv::machine {
namespace {

using ::testing::HasSubstr;

class BzImage : public testing::FileFixture {
 protected:
  Error load_error(const BzImageFixture& fixture) {
    const auto loaded = load_kernel(write(fixture.build()), ram_);
    EXPECT_FALSE(loaded);
    return loaded ? Error{} : loaded.error();
  }

  std::vector<std::byte> ram_ = std::vector<std::byte>(4u << 20);
};

TEST_F(BzImage, CopiesTheProtectedModePartToTheAddressItPrefers) {
  const auto loaded = load_kernel(write(BzImageFixture{.content = "kernel"}.build()), ram_);

  ASSERT_TRUE(loaded) << to_string(loaded.error());
  EXPECT_EQ(loaded->entry.value, 0x200200u);
  EXPECT_EQ(loaded->end.value, 0x202000u);
  EXPECT_EQ(loaded->initrd_end, 0x80000000u);
  EXPECT_EQ(loaded->command_line_bytes, 2047u);
  EXPECT_TRUE(std::ranges::equal(std::span(ram_).subspan(0x200200, 6), as_bytes("kernel")));
}

TEST_F(BzImage, GivesTheSetupHeaderOfTheFile) {
  const auto image = BzImageFixture{}.build();

  const auto loaded = load_kernel(write(image), ram_);

  ASSERT_TRUE(loaded) << to_string(loaded.error());
  EXPECT_TRUE(std::ranges::equal(loaded->setup_header,
                                 std::span(image).subspan(0x1f1, 0x202 + 0x68 - 0x1f1)));
}

TEST_F(BzImage, ReadsTheReleaseOfItsHeader) {
  EXPECT_EQ(kernel_release(write(BzImageFixture{}.build())), "6.1.0-9-test");
}

TEST_F(BzImage, IsCalledByItsFileNameWhereTheHeaderPointsNowhere) {
  const std::string name = std::filesystem::path(path_).filename().string();

  EXPECT_EQ(kernel_release(write(BzImageFixture{.version_text = 0}.build())), name);
  EXPECT_EQ(kernel_release(write(BzImageFixture{.version_text = 0xffff}.build())), name);
  EXPECT_EQ(kernel_release(write(BzImageFixture{.text = "6\x1b[2J x"}.build())), name);
}

TEST_F(BzImage, RefusesAKernelWithoutA64BitEntry) {
  const Error old = load_error({.version = 0x20b});
  const Error small = load_error({.extended_load_flags = 0});
  const Error low = load_error({.load_flags = 0});

  EXPECT_EQ(old.code, Code::kUnsupported);
  EXPECT_EQ(old.detail, "its boot protocol is 2.11; 2.12 (Linux 3.8) or newer is needed");
  EXPECT_EQ(small.code, Code::kUnsupported);
  EXPECT_THAT(small.detail, HasSubstr("no 64-bit entry"));
  EXPECT_EQ(low.code, Code::kUnsupported);
}

TEST_F(BzImage, RefusesAPlaceOverTheTablesOrBeyondWhatTheyMap) {
  const BzImageFixture hostile[] = {
      {.preferred_address = 0x7000},     {.preferred_address = 0},
      {.preferred_address = UINT64_MAX}, {.preferred_address = UINT64_MAX - 0x1000},
      {.preferred_address = 0x40000000}, {.init_size = UINT32_MAX},
  };

  for (const BzImageFixture& fixture : hostile) {
    const Error error = load_error(fixture);
    EXPECT_EQ(error.code, Code::kCorruptInput);
    EXPECT_THAT(error.detail, HasSubstr("1 MiB to 1 GiB"));
  }
}

TEST_F(BzImage, SaysHowMuchMemoryItNeeds) {
  const Error error = load_error({.init_size = 0x300000});

  EXPECT_EQ(error.code, Code::kInvalidArgument);
  EXPECT_EQ(error.detail,
            "it needs memory up to 5120 KiB to unpack itself, the machine has 4096 KiB");
}

TEST_F(BzImage, RefusesSizesThatContradictEachOther) {
  EXPECT_THAT(load_error({.paragraphs = 0x1000}).detail, HasSubstr("truncated"));
  EXPECT_THAT(load_error({.paragraphs = UINT32_MAX}).detail, HasSubstr("truncated"));
  EXPECT_THAT(load_error({.paragraphs = 0x20}).detail, HasSubstr("bytes of kernel that unpack in"));
  EXPECT_THAT(load_error({.init_size = 0x100}).detail, HasSubstr("bytes of kernel that unpack in"));
  EXPECT_THAT(load_error({.header_length = 0}).detail,
              HasSubstr("a setup header that ends at 514"));
  EXPECT_THAT(load_error({.header_length = 0xff}).detail, HasSubstr("ends at 769"));
  EXPECT_THAT(load_error({.boot_flag = 0}).detail, HasSubstr("0xaa55"));
}

// As of an ELF image: whatever stands in the header, nothing outside `ram` is touched.
TEST_F(BzImage, SurvivesMutatedHeaders) {
  const auto good = BzImageFixture{.content = "kernel"}.build();
  constexpr std::uint64_t kNumbers[] = {0,         1,          0x20,       0xff,
                                        0xfff,     0x1fffff,   0x3fffff,   0x400000,
                                        INT32_MAX, UINT32_MAX, 1ull << 63, UINT64_MAX};

  for (std::size_t offset = 0x1f0; offset + 8 <= 0x270; ++offset) {
    for (const std::uint64_t number : kNumbers) {
      auto image = good;
      store_le(std::span(image), offset, number);
      const platform::File kernel = write(image);
      (void)kernel_release(kernel);
      const auto loaded = load_kernel(kernel, ram_);
      if (!loaded) {
        EXPECT_FALSE(loaded.error().operation.empty());
        continue;
      }
      EXPECT_LE(loaded->end.value, ram_.size());
      EXPECT_LT(loaded->entry.value, loaded->end.value);
      EXPECT_LE(loaded->setup_header.size(), kSetupHeaderEnd - kSetupHeaderStart);
    }
  }
}

}  // namespace
}  // namespace runhv::machine
