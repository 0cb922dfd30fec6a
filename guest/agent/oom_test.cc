#include "oom.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace runhv::agent {
namespace {

TEST(OomTest, TheCountIsFoundByItsWholeName) {
  EXPECT_EQ(oom_kills_in("drop_slab 0\noom_kill 3\nnuma_pte_updates 0\n"), 3u);
  EXPECT_EQ(oom_kills_in("x_oom_kill 1\noom_kill_other 2\noom_kill 4"), 4u);
  EXPECT_EQ(oom_kills_in("nr_free_pages 7\n"), 0u);
  EXPECT_EQ(oom_kills_in(""), 0u);
  EXPECT_EQ(oom_kills_in("\noom_kill "), 0u);
}

TEST(OomTest, ACountBeyondItsTypeIsTheLargest) {
  EXPECT_EQ(oom_kills_in("\noom_kill 4294967295\n"), UINT32_MAX);
  EXPECT_EQ(oom_kills_in("\noom_kill 99999999999999999999999999\n"), UINT32_MAX);
}

}  // namespace
}  // namespace runhv::agent
