// Machines on the engine soft, and guests of a few instructions, for tests.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "machine/elf_fixture.h"
#include "machine/machine.h"
#include "platform/file.h"
#include "testing/environment.h"
#include "testing/files.h"

namespace runhv::machine {

inline constexpr std::uint64_t kLimit = 60'000'000'000;  // a machine that takes longer hangs

// What a build makes before these tests can run.
inline void expect_file(const char* path, const char* variable) {
  ASSERT_TRUE(platform::file_exists(path))
      << path << " is missing: build it, or set -D" << variable;
}

// What a machine's owner hears, for a test that waits.
class Observer final : public MachineObserver {
 public:
  void on_stage(std::uint8_t stage) override {
    const std::lock_guard lock(mutex_);
    stages_.push_back(stage);
    changed_.notify_all();
  }
  void on_ended() override {
    const std::lock_guard lock(mutex_);
    ++ends_;
    changed_.notify_all();
  }

  bool wait_for_end() {
    return wait([this] { return ends_ != 0; });
  }
  bool wait_for_stages(std::size_t count) {
    return wait([&] { return stages_.size() >= count; });
  }
  int ends() {
    const std::lock_guard lock(mutex_);
    return ends_;
  }
  std::vector<std::uint8_t> stages() {
    const std::lock_guard lock(mutex_);
    return stages_;
  }

 private:
  template <class Predicate>
  bool wait(Predicate predicate) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::nanoseconds(kLimit), predicate);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::uint8_t> stages_;
  int ends_ = 0;
};

class MachineOnSoft : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::set_environment_by_default("RUNHV_WINHV", RUNHV_TEST_WINHV);
    testing::set_environment_by_default("RUNHV_SOFTCPU", RUNHV_TEST_ENGINE_LIBRARY);
    expect_file(RUNHV_TEST_WINHV, "RUNHV_WINHV");
    expect_file(RUNHV_TEST_ENGINE_LIBRARY, "RUNHV_ENGINE_LIBRARY");
  }

  MachineConfig config(const std::string& kernel) {
    MachineConfig config;
    config.kernel_path = kernel;
    config.engine = "soft";
    config.observer = &observer_;
    config.counts = counts_;
    return config;
  }

  std::unique_ptr<Machine> make(MachineConfig config) {
    auto machine = Machine::create(std::move(config));
    EXPECT_TRUE(machine) << to_string(machine.error());
    return machine ? std::move(*machine) : nullptr;
  }

  std::optional<MachineEnd> run(Machine& machine) {
    EXPECT_TRUE(machine.start());
    return end_of(machine);
  }

  std::optional<MachineEnd> end_of(Machine& machine) {
    if (!observer_.wait_for_end()) return std::nullopt;
    return machine.end();
  }

  std::uint64_t instructions() {
    std::uint64_t sum = 0;
    for (ProcessorCounts& counts : counts_) {
      sum += std::atomic_ref(counts.instructions).load(std::memory_order_relaxed);
    }
    return sum;
  }
  std::uint64_t exits(ExitReason reason) {
    std::uint64_t sum = 0;
    for (ProcessorCounts& counts : counts_) {
      sum += std::atomic_ref(counts.exits[static_cast<std::size_t>(reason)])
                 .load(std::memory_order_relaxed);
    }
    return sum;
  }
  std::uint64_t all_exits() {
    std::uint64_t sum = 0;
    for (std::size_t reason = 0; reason < kExitReasonCount; ++reason) {
      sum += exits(static_cast<ExitReason>(reason));
    }
    return sum;
  }

  Observer observer_;
  std::array<ProcessorCounts, 4> counts_;
};

// A kernel that is a few instructions of machine code, entered in 64-bit mode.
class TinyGuest : public MachineOnSoft {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }

  std::unique_ptr<Machine> make_guest(std::string_view code, std::uint32_t processors = 1) {
    EXPECT_TRUE(testing::write_file(path_, ElfFixture{.content = code}.build()));
    auto guest = config(path_);
    guest.memory_bytes = MachineLimits::kMinMemoryBytes;
    guest.processor_count = processors;
    return make(std::move(guest));
  }

  const std::string path_ = (std::filesystem::temp_directory_path() /
                             ("runhv-guest-" + std::to_string(std::random_device{}())))
                                .string();
};

inline constexpr std::string_view kSpin = "\xeb\xfe";  // jmp .
inline const std::string kSayAgent =
    "\xb0\x01\xe6\xf5";  // mov al, 1; out 0xf5, al: says that it runs

}  // namespace runhv::machine
