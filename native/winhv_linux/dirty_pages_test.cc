#include "winhv_linux/dirty_pages.h"

#include <array>
#include <vector>

#include "gtest/gtest.h"
#include "winhv_linux/gpa_map.h"

namespace runhv::winhv_linux {
namespace {

using Pages = std::vector<std::uint64_t>;

// Numbers of the pages, counted from the range's first.
Pages taken(DirtyPages& pages, std::uint64_t first, std::uint64_t count) {
  std::array<std::uint64_t, 4> bitmap{~std::uint64_t{0}, ~std::uint64_t{0}};
  pages.take(first * kPageBytes, count * kPageBytes, std::span(bitmap).first((count + 63) / 64));
  Pages numbers;
  for (std::uint64_t page = 0; page < count; ++page) {
    if ((bitmap[page / 64] >> page % 64 & 1) != 0) numbers.push_back(page);
  }
  return numbers;
}

TEST(DirtyPages, AreTakenOnce) {
  DirtyPages pages;
  pages.mark(70 * kPageBytes + 8);
  pages.mark(5 * kPageBytes);
  EXPECT_EQ(taken(pages, 0, 128), (Pages{5, 70}));
  EXPECT_EQ(taken(pages, 0, 128), Pages{});
}

TEST(DirtyPages, ARangeNeedNotBeginOrEndWithAWord) {
  DirtyPages pages;
  for (const std::uint64_t page : Pages{9, 10, 63, 64, 130, 131}) pages.mark(page * kPageBytes);
  EXPECT_EQ(taken(pages, 10, 121), (Pages{0, 53, 54, 120}));
  EXPECT_EQ(taken(pages, 0, 200), (Pages{9, 131}));
}

TEST(DirtyPages, AreForgottenWithoutABitmap) {
  DirtyPages pages;
  pages.mark(0, 3 * kPageBytes);
  pages.forget(kPageBytes, kPageBytes);
  EXPECT_EQ(taken(pages, 0, 64), (Pages{0, 2}));
}

TEST(DirtyPages, ARangeIsMarkedAsAWhole) {
  DirtyPages pages;
  pages.mark(62 * kPageBytes, 4 * kPageBytes);
  EXPECT_EQ(taken(pages, 60, 64), (Pages{2, 3, 4, 5}));
}

TEST(DirtyPages, TheLastPageOfAllIsOne) {
  DirtyPages pages;
  const std::uint64_t last = (~std::uint64_t{0} >> 12) - 1;  // the one behind it ends at 2^64
  pages.mark(last * kPageBytes);
  EXPECT_EQ(taken(pages, last - 1, 2), Pages{1});
}

}  // namespace
}  // namespace runhv::winhv_linux
