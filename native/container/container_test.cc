// Containers whose guest is a few bytes of machine code: what a guest does that never becomes one.
#include "container/container.h"

#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "machine/elf_fixture.h"
#include "testing/environment.h"
#include "testing/files.h"

namespace runhv::container {
namespace {

using ::testing::HasSubstr;

// Runs the loop until the end is told.
class UntilTheEnd final : public ContainerEvents {
 public:
  explicit UntilTheEnd(platform::EventLoop& loop) : loop_(loop) {}
  void on_created() override {}
  void on_started() override {}
  void on_process_started(ProcessNumber) override {}
  void on_process_ended(ProcessNumber, const ExitStatus&) override {}
  void on_out_of_memory(std::uint32_t) override {}
  void on_paused() override {}
  void on_resumed() override {}
  void on_warning(ProcessNumber, const Error&) override {}
  void on_ended(const Result<ExitStatus>&) override { loop_.stop(); }

 private:
  platform::EventLoop& loop_;
};

class HostileKernel : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::set_environment_by_default("RUNHV_WINHV", RUNHV_TEST_WINHV);
    testing::set_environment_by_default("RUNHV_SOFTCPU", RUNHV_TEST_ENGINE_LIBRARY);
    std::filesystem::create_directory(folder_);
    ASSERT_TRUE(testing::write_file((folder_ / "disk").string(), std::vector<std::byte>(4096)));
    std::ofstream(folder_ / "config.json")
        << R"({"ociVersion":"1.0.2","process":{"args":["/bin/true"],"cwd":"/"},)"
        << R"("root":{"path":"rootfs"},"vm":{"image":{"path":")"
        << (folder_ / "disk").generic_string() << R"(","format":"raw"}}})";
    auto loop = platform::EventLoop::create();
    ASSERT_TRUE(loop);
    loop_ = *std::move(loop);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // The error that the container ends with.
  std::string run(std::string_view code) {
    EXPECT_TRUE(testing::write_file((folder_ / "kernel").string(),
                                    machine::ElfFixture{.content = code}.build()));
    ContainerConfig config;
    config.id = "hostile";
    config.bundle = folder_.string();
    config.default_kernel = (folder_ / "kernel").string();
    config.tick_ns = 1'000'000;
    UntilTheEnd events(*loop_);
    auto container = Container::create(*loop_, std::move(config), events);
    if (!container) return "not made: " + to_string(container.error());
    EXPECT_TRUE((*container)->start());
    EXPECT_TRUE(loop_->run());
    const auto& end = (*container)->end();
    EXPECT_EQ((*container)->state().status, ContainerStatus::kStopped);
    if (!end) return "no end";
    return *end ? "exit status " + std::to_string((*end)->shell_status()) : to_string(end->error());
  }

  const std::filesystem::path folder_ = std::filesystem::temp_directory_path() /
                                        ("runhv-hostile-" + std::to_string(std::random_device{}()));
  std::unique_ptr<platform::EventLoop> loop_;
};

TEST_F(HostileKernel, ThatNeverSpeaksIsEndedWithOneError) {
  EXPECT_THAT(run("\xfa\xeb\xfe"),  // cli; jmp .
              HasSubstr("run container hostile: the guest's agent has not spoken"));
}

TEST_F(HostileKernel, ThatPowersOffAtOnceHasNoExitStatus) {
  EXPECT_EQ(run("\xe6\xf4\xeb\xfe"),  // out 0xf4, al; jmp .
            "run container hostile: the guest powered off and gave no exit status");
}

TEST_F(HostileKernel, ThatTriplesFaultsSaysWhere) {
  EXPECT_THAT(run("\x0f\x0b"), HasSubstr("run the guest: triple fault at RIP"));  // ud2
}

}  // namespace
}  // namespace runhv::container
