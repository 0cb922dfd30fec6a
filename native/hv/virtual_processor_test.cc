// The gate of cancels, over a WHP of a few functions.
#include "hv/virtual_processor.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "hv/whp_functions.h"

namespace runhv::hv {
namespace {

// WHP's Run and Cancel for one processor: a cancel is sticky, an exit that is there comes first.
class FakeWhp {
 public:
  FakeWhp() {
    functions.run_virtual_processor = run;
    functions.cancel_run_virtual_processor = cancel;
    functions.delete_virtual_processor = [](WHV_PARTITION_HANDLE, UINT32) -> HRESULT {
      return S_OK;
    };
  }

  void give(WHV_RUN_VP_EXIT_REASON reason) {
    const std::lock_guard lock(mutex_);
    exits_.push_back(reason);
    changed_.notify_all();
  }
  void wait_for_runs(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return runs >= count; });
  }

  WhpFunctions functions;
  int runs = 0;
  int cancels = 0;
  bool sticky = true;

 private:
  static HRESULT WINAPI run(WHV_PARTITION_HANDLE self, UINT32, VOID* out, UINT32) {
    auto& whp = *static_cast<FakeWhp*>(self);
    auto& context = *static_cast<WHV_RUN_VP_EXIT_CONTEXT*>(out);
    std::unique_lock lock(whp.mutex_);
    ++whp.runs;
    whp.changed_.notify_all();
    whp.changed_.wait(lock, [&] { return whp.canceled_ || !whp.exits_.empty(); });
    if (!whp.exits_.empty()) {
      context.ExitReason = whp.exits_.front();
      whp.exits_.pop_front();
      if (!whp.sticky) whp.canceled_ = false;
    } else {
      context.ExitReason = WHvRunVpExitReasonCanceled;
      whp.canceled_ = false;
    }
    return S_OK;
  }
  static HRESULT WINAPI cancel(WHV_PARTITION_HANDLE self, UINT32, UINT32) {
    auto& whp = *static_cast<FakeWhp*>(self);
    const std::lock_guard lock(whp.mutex_);
    ++whp.cancels;
    whp.canceled_ = true;
    whp.changed_.notify_all();
    return S_OK;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<WHV_RUN_VP_EXIT_REASON> exits_;
  bool canceled_ = false;
};

class Cancel : public ::testing::Test {
 protected:
  template <class Reason>
  bool run_gives() {
    const auto exit = processor_.run();
    return exit && std::holds_alternative<Reason>(exit->reason);
  }

  FakeWhp whp_;
  VirtualProcessor processor_{whp_.functions, &whp_, 0};
};

TEST_F(Cancel, OutsideOfARunIsKeptFromWhp) {
  processor_.cancel();
  processor_.cancel();

  EXPECT_TRUE(run_gives<CanceledExit>());
  EXPECT_EQ(whp_.cancels, 0);
  EXPECT_EQ(whp_.runs, 0);
  whp_.give(WHvRunVpExitReasonX64Halt);
  EXPECT_TRUE(run_gives<HaltExit>());
}

TEST_F(Cancel, EndsTheRunThatIsUnderWay) {
  std::thread other([&] {
    whp_.wait_for_runs(1);
    processor_.cancel();
  });

  EXPECT_TRUE(run_gives<CanceledExit>());
  other.join();
  EXPECT_EQ(whp_.cancels, 1);
}

// A run is canceled, and has another exit at the same time: the next run tells of the cancel, once.
void cancel_a_run_that_exits(FakeWhp& whp, VirtualProcessor& processor) {
  std::thread other([&] {
    whp.wait_for_runs(1);
    whp.give(WHvRunVpExitReasonX64Halt);
  });
  // The exit may be taken before or after; in both cases the cancel is told afterwards.
  std::thread canceler([&] {
    whp.wait_for_runs(1);
    processor.cancel();
  });
  int halts = 0;
  int cancels = 0;
  while (halts == 0 || cancels == 0) {
    const auto exit = processor.run();
    halts += std::holds_alternative<HaltExit>(exit->reason);
    cancels += std::holds_alternative<CanceledExit>(exit->reason);
  }
  other.join();
  canceler.join();
  EXPECT_EQ(halts, 1);
  EXPECT_EQ(cancels, 1);
}

TEST_F(Cancel, LeavesNoStaleOneBehind) {
  cancel_a_run_that_exits(whp_, processor_);

  whp_.give(WHvRunVpExitReasonX64Halt);
  EXPECT_TRUE(run_gives<HaltExit>());
}

TEST_F(Cancel, IsNotLostWhereWhpForgetsIt) {
  whp_.sticky = false;
  cancel_a_run_that_exits(whp_, processor_);

  whp_.give(WHvRunVpExitReasonX64Halt);
  EXPECT_TRUE(run_gives<HaltExit>());
}

TEST_F(Cancel, AStaleOneOfWhpIsNotTold) {
  whp_.functions.cancel_run_virtual_processor(&whp_, 0, 0);
  std::thread other([&] {
    whp_.wait_for_runs(2);
    whp_.give(WHvRunVpExitReasonX64Halt);
  });

  EXPECT_TRUE(run_gives<HaltExit>());
  other.join();
}

}  // namespace
}  // namespace runhv::hv
