#include "winhv_linux/engines/baton.h"

#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace runhv::winhv_linux {
namespace {

void ignore() {}

TEST(Baton, OneHolderAtATime) {
  Baton baton;
  int counter = 0;  // not atomic: the baton protects it
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < 10'000; ++n) {
        baton.take(i == 0 ? Turn::kNext : Turn::kFair, ignore);
        ++counter;
        baton.give();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counter, 40'000);
  EXPECT_FALSE(baton.wanted());
}

TEST(Baton, ShortCallsGoFirstAndTheHolderIsTold) {
  Baton baton;
  std::vector<int> order;
  std::atomic<int> queued{0};
  const auto wait_in_queue = [&](Turn turn, int name) {
    baton.take(turn, [&] { ++queued; });
    order.push_back(name);
    baton.give();
  };
  baton.take(Turn::kFair, ignore);
  std::thread slice([&] { wait_in_queue(Turn::kFair, 1); });
  while (queued.load() < 1) std::this_thread::yield();
  EXPECT_FALSE(baton.wanted());
  std::thread short_call([&] { wait_in_queue(Turn::kNext, 2); });
  while (queued.load() < 2) std::this_thread::yield();
  EXPECT_TRUE(baton.wanted());
  baton.give();
  slice.join();
  short_call.join();
  EXPECT_EQ(order, (std::vector<int>{2, 1}));
}

}  // namespace
}  // namespace runhv::winhv_linux
