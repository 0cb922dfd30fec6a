#include "platform/thread.h"

#include <memory>
#include <semaphore>
#include <utility>

#include "gtest/gtest.h"
#include "platform/clock.h"

namespace runhv::platform {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

using Gate = std::binary_semaphore;

TEST(ThreadTest, OneThatHangsIsJoinedLaterOrAbandoned) {
  Gate gate(0);
  auto patient = Thread::start("patient", [&] { gate.acquire(); });
  ASSERT_TRUE(patient);
  EXPECT_FALSE(patient->join_until(monotonic_ns()));
  EXPECT_FALSE(patient->join_until(monotonic_ns() + 1'000'000));
  gate.release();
  EXPECT_TRUE(patient->join_until(monotonic_ns() + 60 * kSecond));

  auto shared = std::make_shared<Gate>(0);
  auto ended = std::make_shared<Gate>(0);
  auto hanging = Thread::start("hanging", [shared, ended] {
    shared->acquire();
    ended->release();
  });
  ASSERT_TRUE(hanging);
  hanging->abandon();
  shared->release();
  ended->acquire();
}

TEST(ThreadTest, WhatItsWorkOwnsHasEndedWhenItIsJoined) {
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = owned;

  auto thread = Thread::start("t", [kept = std::move(owned)] {});
  ASSERT_TRUE(thread && thread->join_until(UINT64_MAX));

  EXPECT_TRUE(watched.expired());
}

TEST(ThreadDeathTest, OneThatNobodyEndsIsABug) {
  EXPECT_EXIT({ auto thread = Thread::start("t", [] {}); }, ::testing::ExitedWithCode(70), "");
}

}  // namespace
}  // namespace runhv::platform
