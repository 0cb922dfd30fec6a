// Every function of runhv.h with what a caller can get wrong, and one run of a real VM.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <thread>

#include "api/abi.h"
#include "platform/file.h"
#include "runhv/runhv.h"

namespace {

using ::testing::HasSubstr;

using runhv::api::sized;

constexpr runhv_vm kNever = 0x100000001;  // the shape of a handle, but none that was given

TEST(Api, TellsItsVersionsAndNames) {
  EXPECT_EQ(runhv_abi_version(), RUNHV_ABI_VERSION);
  EXPECT_THAT(runhv_version(), ::testing::MatchesRegex("[0-9]+[.][0-9]+[.][0-9]+"));
  EXPECT_STREQ(runhv_code_name(RUNHV_OK), "ok");
  EXPECT_STREQ(runhv_code_name(RUNHV_NOT_FOUND), "not found");
  EXPECT_STREQ(runhv_code_name(-7), "unknown");
  EXPECT_STREQ(runhv_stage_name(RUNHV_STAGE_SPAWN), "spawn");
  EXPECT_STREQ(runhv_stage_name(RUNHV_STAGE_EXIT), "exit");
  EXPECT_STREQ(runhv_stage_name(RUNHV_STAGE_COUNT), "unknown");
  EXPECT_STREQ(runhv_stage_name(-1), "unknown");
}

TEST(Api, AHandleThatWasNeverGivenIsClosedEverywhere) {
  for (const runhv_vm vm : {runhv_vm{0}, kNever, UINT64_MAX}) {
    auto status = sized<runhv_exit_status>();
    auto statistics = sized<runhv_statistics>();
    auto memory = sized<runhv_guest_memory>();
    const runhv_statistics_page* page = nullptr;
    std::uint64_t size = 0;
    auto error = sized<runhv_error>();

    auto event = sized<runhv_event>();
    auto state = sized<runhv_state>();
    auto process_config = sized<runhv_process_config>();
    process_config.json = "{}";
    runhv_process process = 0;
    std::int64_t handle = 0;

    EXPECT_EQ(runhv_vm_start(vm, &error), RUNHV_CLOSED);
    EXPECT_EQ(error.code, RUNHV_CLOSED);
    EXPECT_STREQ(error.operation, "use a VM handle");
    EXPECT_EQ(runhv_vm_wait(vm, 0, &status, nullptr), RUNHV_CLOSED);
    EXPECT_EQ(runhv_vm_boot(vm, nullptr), RUNHV_CLOSED);
    EXPECT_EQ(runhv_vm_event(vm, &event, nullptr), RUNHV_CLOSED);
    EXPECT_EQ(runhv_vm_event_handle(vm, &handle, nullptr), RUNHV_CLOSED);
    EXPECT_EQ(runhv_vm_state(vm, &state, nullptr), RUNHV_CLOSED);
    EXPECT_EQ(runhv_vm_signal(vm, 0, 15, nullptr), RUNHV_CLOSED);
    EXPECT_EQ(runhv_vm_stop(vm, 0, 1000, nullptr), RUNHV_CLOSED);
    EXPECT_EQ(runhv_vm_pause(vm, nullptr), RUNHV_CLOSED);
    EXPECT_EQ(runhv_vm_resume(vm, nullptr), RUNHV_CLOSED);
    EXPECT_EQ(runhv_process_start(vm, &process_config, &process, nullptr), RUNHV_CLOSED);
    EXPECT_EQ(runhv_process_resize(vm, 0, 80, 24, nullptr), RUNHV_CLOSED);
    EXPECT_EQ(runhv_process_attach(vm, 0, 1, -1, nullptr), RUNHV_CLOSED);
    EXPECT_EQ(runhv_vm_statistics(vm, &statistics, nullptr), RUNHV_CLOSED);
    EXPECT_EQ(runhv_vm_statistics_page(vm, &page, &size, nullptr), RUNHV_CLOSED);
    EXPECT_EQ(runhv_vm_guest_memory(vm, 0, &memory, nullptr), RUNHV_CLOSED);
    EXPECT_EQ(runhv_vm_destroy(vm, nullptr), RUNHV_CLOSED);
  }
}

TEST(Api, NullPointersAreInvalidArguments) {
  auto error = sized<runhv_error>();
  auto config = sized<runhv_vm_config>();
  runhv_vm vm = 7;

  EXPECT_EQ(runhv_vm_create(&config, nullptr, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_STREQ(error.detail, "vm is null");
  EXPECT_EQ(runhv_vm_create(nullptr, &vm, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_STREQ(error.detail, "config is null");
  EXPECT_EQ(vm, 0u);
  EXPECT_EQ(runhv_vm_create(&config, &vm, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_STREQ(error.detail, "config.id is null");
  config.id = "x";
  EXPECT_EQ(runhv_vm_create(&config, &vm, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_STREQ(error.detail, "config.bundle is null");
  EXPECT_EQ(runhv_vm_wait(kNever, 0, nullptr, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_EQ(runhv_vm_statistics(kNever, nullptr, &error), RUNHV_INVALID_ARGUMENT);
  const runhv_statistics_page* page = nullptr;
  std::uint64_t size = 0;
  EXPECT_EQ(runhv_vm_statistics_page(kNever, nullptr, &size, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_STREQ(error.detail, "page is null");
  EXPECT_EQ(runhv_vm_statistics_page(kNever, &page, nullptr, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_STREQ(error.detail, "size_bytes is null");
  EXPECT_EQ(runhv_vm_guest_memory(kNever, 0, nullptr, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_EQ(runhv_vm_event(kNever, nullptr, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_STREQ(error.detail, "event is null");
  EXPECT_EQ(runhv_vm_event_handle(kNever, nullptr, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_EQ(runhv_vm_state(kNever, nullptr, &error), RUNHV_INVALID_ARGUMENT);
  auto process_config = sized<runhv_process_config>();
  runhv_process process = 7;
  EXPECT_EQ(runhv_process_start(kNever, nullptr, &process, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_EQ(process, 0u);
  EXPECT_EQ(runhv_process_start(kNever, &process_config, nullptr, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_EQ(runhv_process_start(kNever, &process_config, &process, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_STREQ(error.detail, "config.json is null");
  EXPECT_EQ(runhv_process_attach(kNever, 0, 3, -1, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_STREQ(error.detail, "3 is none; they are 0, 1, 2");
}

TEST(Api, AStructureWithoutItsSizeIsRefused) {
  auto error = sized<runhv_error>();
  runhv_vm_config config{};
  runhv_exit_status status{};
  runhv_statistics statistics{};
  runhv_guest_memory memory{};
  runhv_vm vm = 0;

  EXPECT_EQ(runhv_vm_guest_memory(kNever, 0, &memory, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_EQ(runhv_vm_create(&config, &vm, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_STREQ(error.detail, "config.struct_size is not set");
  EXPECT_EQ(runhv_vm_wait(kNever, 0, &status, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_EQ(runhv_vm_statistics(kNever, &statistics, &error), RUNHV_INVALID_ARGUMENT);
}

TEST(Api, AShorterStructureLacksTheRest) {
  // A config that ends before `bundle`: whatever lies behind it is not read.
  auto config = sized<runhv_vm_config>();
  config.struct_size = offsetof(runhv_vm_config, bundle);
  config.id = "x";
  config.bundle = "/no/bundle";
  auto error = sized<runhv_error>();
  runhv_vm vm = 0;

  EXPECT_EQ(runhv_vm_create(&config, &vm, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_STREQ(error.detail, "config.bundle is null");
}

TEST(Api, AShorterErrorIsFilledAsFarAsItGoes) {
  runhv_error error;
  std::memset(&error, 0x5a, sizeof error);
  error.struct_size = offsetof(runhv_error, operation);

  EXPECT_EQ(runhv_vm_start(kNever, &error), RUNHV_CLOSED);

  EXPECT_EQ(error.struct_size, offsetof(runhv_error, operation));
  EXPECT_EQ(error.code, RUNHV_CLOSED);
  EXPECT_EQ(error.operation[0], 0x5a);
}

TEST(Api, AnUnknownFlagIsRefused) {
  auto config = sized<runhv_vm_config>();
  config.id = "x";
  config.bundle = "/no/bundle";
  config.flags = 1u << 31;
  auto error = sized<runhv_error>();
  runhv_vm vm = 0;

  EXPECT_EQ(runhv_vm_create(&config, &vm, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_STREQ(error.detail, "config.flags has an unknown bit");
}

class ApiOnSoft : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("RUNHV_WINHV", RUNHV_TEST_WINHV, 0);
    ::setenv("RUNHV_SOFTCPU", RUNHV_TEST_ENGINE_LIBRARY, 0);
    for (const char* path :
         {RUNHV_TEST_WINHV, RUNHV_TEST_ENGINE_LIBRARY, RUNHV_TEST_KERNEL, RUNHV_TEST_INITRD}) {
      ASSERT_TRUE(runhv::platform::file_exists(path)) << path << " is missing: build it first";
    }
    std::filesystem::create_directory(bundle_);
    // No file system: the agent says so instead of starting anything.
    std::ofstream(bundle_ / "image") << std::string(4096, '\0');
    std::ofstream(bundle_ / "config.json")
        << R"({"ociVersion":"1.0.2","process":{"args":["/bin/true"],"cwd":"/"},)"
        << R"("root":{"path":"rootfs"},"vm":{"image":{"path":")" << (bundle_ / "image").string()
        << R"(","format":"raw"}}})";
    config_ = sized<runhv_vm_config>();
    config_.id = "api";
    config_.bundle = path_.c_str();
    config_.default_kernel = RUNHV_TEST_KERNEL;
    config_.default_initrd = RUNHV_TEST_INITRD;
    for (std::int64_t& handle : config_.stdio) handle = -1;
  }
  void TearDown() override { std::filesystem::remove_all(bundle_); }

  runhv_vm create() {
    auto error = sized<runhv_error>();
    runhv_vm vm = 0;
    EXPECT_EQ(runhv_vm_create(&config_, &vm, &error), RUNHV_OK) << error.operation << error.detail;
    return vm;
  }

  const std::filesystem::path bundle_ = std::filesystem::temp_directory_path() /
                                        ("runhv-api-" + std::to_string(std::random_device{}()));
  const std::string path_ = bundle_;
  runhv_vm_config config_{};
};

TEST_F(ApiOnSoft, RunsAVmToItsEndAndSaysWhatTheGuestSaid) {
  const runhv_vm vm = create();
  auto error = sized<runhv_error>();
  auto status = sized<runhv_exit_status>();
  auto statistics = sized<runhv_statistics>();

  ASSERT_EQ(runhv_vm_start(vm, &error), RUNHV_OK) << error.operation << error.detail;
  EXPECT_EQ(runhv_vm_start(vm, nullptr), RUNHV_CONFLICT);
  ASSERT_EQ(runhv_vm_wait(vm, 60'000, &status, &error), RUNHV_OK) << error.operation;
  ASSERT_EQ(runhv_vm_statistics(vm, &statistics, &error), RUNHV_OK);

  EXPECT_EQ(status.end, RUNHV_END_NOT_STARTED);
  EXPECT_EQ(status.exit_status, status.value);
  EXPECT_NE(error.code, RUNHV_OK);
  EXPECT_STREQ(statistics.engine, "soft");
  EXPECT_EQ(statistics.processor_count, 1u);
  EXPECT_EQ(statistics.memory_bytes, 128u << 20);
  EXPECT_GT(statistics.exits_total.all, 0u);
  EXPECT_GT(statistics.instructions_total, 1'000'000u);
  EXPECT_NE(statistics.stages[RUNHV_STAGE_AGENT].start_ns, 0u);
  EXPECT_EQ(statistics.stages[RUNHV_STAGE_FIRST_OUTPUT].start_ns, 0u);
  EXPECT_EQ(statistics.stages[RUNHV_STAGE_PARTITION].start_ns +
                statistics.stages[RUNHV_STAGE_PARTITION].duration_ns,
            statistics.stages[RUNHV_STAGE_MEMORY].start_ns);
  EXPECT_EQ(runhv_vm_destroy(vm, &error), RUNHV_OK);
  EXPECT_EQ(runhv_vm_destroy(vm, &error), RUNHV_CLOSED);
}

std::uint64_t load(const std::uint64_t& value) {
  return std::atomic_ref(const_cast<std::uint64_t&>(value)).load(std::memory_order_acquire);
}

TEST_F(ApiOnSoft, TheStatisticsPageIsLiveAndEndsEqualToTheStatistics) {
  const runhv_vm vm = create();
  auto error = sized<runhv_error>();
  const runhv_statistics_page* page = nullptr;
  std::uint64_t size = 0;

  ASSERT_EQ(runhv_vm_statistics_page(vm, &page, &size, &error), RUNHV_OK);
  ASSERT_EQ(size, sizeof *page);
  EXPECT_EQ(page->version, RUNHV_STATISTICS_PAGE_VERSION);
  EXPECT_EQ(page->processor_count, 1u);
  EXPECT_EQ(page->memory_bytes, 128u << 20);
  EXPECT_NE(page->stage_start_ns[RUNHV_STAGE_MEMORY], 0u);
  EXPECT_EQ(page->processors[0].instructions, 0u);

  ASSERT_EQ(runhv_vm_start(vm, &error), RUNHV_OK);
  while (load(page->stage_start_ns[RUNHV_STAGE_AGENT]) == 0) std::this_thread::yield();
  EXPECT_GT(load(page->processors[0].exits[RUNHV_EXIT_MMIO]), 0u);
  EXPECT_GT(load(page->processors[0].instructions), 1'000'000u);
  EXPECT_EQ(load(page->stage_start_ns[RUNHV_STAGE_FIRST_INSTRUCTION]), 0u);

  auto status = sized<runhv_exit_status>();
  auto statistics = sized<runhv_statistics>();
  ASSERT_EQ(runhv_vm_wait(vm, UINT32_MAX, &status, &error), RUNHV_OK) << error.operation;
  ASSERT_EQ(runhv_vm_statistics(vm, &statistics, &error), RUNHV_OK);
  const runhv_processor_counts& counts = page->processors[0];
  EXPECT_EQ(load(counts.instructions), statistics.instructions_total);
  EXPECT_EQ(load(counts.exits[RUNHV_EXIT_IO_PORT]), statistics.exits_total.io_port);
  EXPECT_EQ(load(counts.exits[RUNHV_EXIT_MMIO]), statistics.exits_total.mmio);
  EXPECT_EQ(load(counts.exits[RUNHV_EXIT_OTHER]), statistics.exits_total.other);
  EXPECT_EQ(load(page->stage_start_ns[RUNHV_STAGE_AGENT]),
            statistics.stages[RUNHV_STAGE_AGENT].start_ns);
  EXPECT_EQ(load(page->guest_memory_resident_bytes), statistics.guest_memory_resident_bytes);
  EXPECT_NE(load(page->end_ns), 0u);
  EXPECT_EQ(runhv_vm_destroy(vm, &error), RUNHV_OK);
}

TEST_F(ApiOnSoft, GuestMemoryIsOnePieceThatHoldsTheKernel) {
  const runhv_vm vm = create();
  auto error = sized<runhv_error>();
  auto memory = sized<runhv_guest_memory>();

  ASSERT_EQ(runhv_vm_guest_memory(vm, 0, &memory, &error), RUNHV_OK) << error.detail;
  EXPECT_EQ(memory.address, 0u);
  ASSERT_EQ(memory.size_bytes, 128u << 20);
  const std::string_view bytes(static_cast<const char*>(memory.bytes), 64u << 20);
  EXPECT_NE(bytes.find("Linux version 6."), std::string_view::npos);
  EXPECT_EQ(runhv_vm_guest_memory(vm, 1, &memory, &error), RUNHV_NOT_FOUND);
  EXPECT_STREQ(error.detail, "there is no piece 1");
  EXPECT_EQ(runhv_vm_destroy(vm, &error), RUNHV_OK);
}

TEST_F(ApiOnSoft, OneVmAtATimeAndNoHandleServesTwice) {
  const runhv_vm first = create();
  auto error = sized<runhv_error>();
  runhv_vm second = 0;

  EXPECT_EQ(runhv_vm_create(&config_, &second, &error), RUNHV_CONFLICT);
  EXPECT_EQ(runhv_vm_destroy(first, &error), RUNHV_OK);
  second = create();

  EXPECT_NE(second, first);
  EXPECT_EQ(runhv_vm_start(first, &error), RUNHV_CLOSED);
  EXPECT_EQ(runhv_vm_destroy(second, &error), RUNHV_OK);
}

TEST_F(ApiOnSoft, DestroyEndsAVmThatSomebodyWaitsFor) {
  const runhv_vm vm = create();
  ASSERT_EQ(runhv_vm_start(vm, nullptr), RUNHV_OK);
  auto status = sized<runhv_exit_status>();
  auto error = sized<runhv_error>();
  std::int32_t code = -1;
  std::thread waiter([&] { code = runhv_vm_wait(vm, UINT32_MAX, &status, &error); });

  EXPECT_EQ(runhv_vm_destroy(vm, nullptr), RUNHV_OK);
  waiter.join();

  // The waiter came first and sees the end, or came too late.
  EXPECT_THAT(code, ::testing::AnyOf(RUNHV_OK, RUNHV_CLOSED));
}

TEST_F(ApiOnSoft, ALimitOfTimeIsNoEnd) {
  const runhv_vm vm = create();
  ASSERT_EQ(runhv_vm_start(vm, nullptr), RUNHV_OK);
  auto status = sized<runhv_exit_status>();
  auto error = sized<runhv_error>();

  EXPECT_EQ(runhv_vm_wait(vm, 0, &status, &error), RUNHV_TIMED_OUT);
  EXPECT_EQ(runhv_vm_signal(vm, RUNHV_FIRST_PROCESS, 9, &error), RUNHV_OK);
  ASSERT_EQ(runhv_vm_wait(vm, UINT32_MAX, &status, &error), RUNHV_OK) << error.operation;

  EXPECT_EQ(status.end, RUNHV_END_SIGNALED);
  EXPECT_EQ(status.exit_status, 128 + 9);
  EXPECT_EQ(runhv_vm_destroy(vm, &error), RUNHV_OK);
}

bool is_readable(std::int64_t handle) {
  pollfd entry{static_cast<int>(handle), POLLIN, 0};
  return ::poll(&entry, 1, 0) == 1;
}

TEST_F(ApiOnSoft, EventsTellTheEndAndTheHandleIsReadableWhileThereIsOne) {
  const runhv_vm vm = create();
  auto error = sized<runhv_error>();
  auto event = sized<runhv_event>();
  auto state = sized<runhv_state>();
  auto status = sized<runhv_exit_status>();
  std::int64_t handle = -1;

  ASSERT_EQ(runhv_vm_event_handle(vm, &handle, &error), RUNHV_OK);
  EXPECT_EQ(runhv_vm_event(vm, &event, &error), RUNHV_NOT_FOUND);
  EXPECT_FALSE(is_readable(handle));
  ASSERT_EQ(runhv_vm_state(vm, &state, &error), RUNHV_OK) << error.detail;
  EXPECT_EQ(state.status, RUNHV_STATUS_CREATING);
  EXPECT_STREQ(state.id, "api");
  EXPECT_EQ(state.pid, ::getpid());
  EXPECT_EQ(runhv_vm_wait(vm, 0, &status, &error), RUNHV_CONFLICT);

  ASSERT_EQ(runhv_vm_boot(vm, &error), RUNHV_OK) << error.detail;
  EXPECT_EQ(runhv_vm_boot(vm, &error), RUNHV_CONFLICT);
  ASSERT_EQ(runhv_vm_wait(vm, 60'000, &status, &error), RUNHV_OK) << error.operation;

  EXPECT_TRUE(is_readable(handle));
  do {
    ASSERT_EQ(runhv_vm_event(vm, &event, &error), RUNHV_OK);
  } while (event.kind != RUNHV_EVENT_ENDED);
  EXPECT_FALSE(is_readable(handle));
  EXPECT_EQ(event.code, RUNHV_OK);
  EXPECT_EQ(event.status.end, RUNHV_END_NOT_STARTED);
  EXPECT_EQ(event.status.exit_status, status.exit_status);
  EXPECT_NE(event.error.code, RUNHV_OK);
  ASSERT_EQ(runhv_vm_state(vm, &state, &error), RUNHV_OK);
  EXPECT_EQ(state.status, RUNHV_STATUS_STOPPED);
  EXPECT_EQ(state.end.exit_status, status.exit_status);
  EXPECT_NE(state.ended_at_ns, 0u);
  EXPECT_EQ(runhv_vm_destroy(vm, &error), RUNHV_OK);
}

TEST_F(ApiOnSoft, WhatTheContainerCannotDoNowIsAConflict) {
  const runhv_vm vm = create();
  auto error = sized<runhv_error>();
  auto config = sized<runhv_process_config>();
  config.json = R"({"args":["/bin/true"],"cwd":"/"})";
  for (std::int64_t& end : config.stdio) end = -1;
  runhv_process process = 0;

  EXPECT_EQ(runhv_vm_pause(vm, &error), RUNHV_CONFLICT);
  EXPECT_EQ(runhv_vm_resume(vm, &error), RUNHV_CONFLICT);
  EXPECT_EQ(runhv_process_start(vm, &config, &process, &error), RUNHV_CONFLICT);
  EXPECT_EQ(runhv_vm_signal(vm, 5, 15, &error), RUNHV_NOT_FOUND);
  EXPECT_EQ(runhv_vm_signal(vm, 0, 65, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_EQ(runhv_vm_destroy(vm, &error), RUNHV_OK);
}

// What a thread in runhv_vm_wait uses is not destroyed by exit().
TEST_F(ApiOnSoft, ExitWithAThreadThatWaitsIsSafe) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer calls every thread that is left at exit() a leak";
#endif
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const runhv_vm vm = create();
        runhv_vm_boot(vm, nullptr);
        std::thread([vm] {
          auto status = sized<runhv_exit_status>();
          runhv_vm_wait(vm, UINT32_MAX, &status, nullptr);
        }).detach();
        std::exit(7);
      },
      ::testing::ExitedWithCode(7), "");
}

TEST_F(ApiOnSoft, AFailedCreationLeavesRoomForTheNext) {
  config_.engine = "warp";
  auto error = sized<runhv_error>();
  runhv_vm vm = 0;

  EXPECT_EQ(runhv_vm_create(&config_, &vm, &error), RUNHV_INVALID_ARGUMENT);
  EXPECT_THAT(error.detail, HasSubstr("soft, kvm, whp"));
  config_.engine = nullptr;
  EXPECT_EQ(runhv_vm_destroy(create(), &error), RUNHV_OK);
}

}  // namespace
