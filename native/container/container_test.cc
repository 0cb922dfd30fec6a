// Containers whose guest is a few bytes of machine code: what a guest does that never becomes one.
#include "container/container.h"

#include <stdlib.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "machine/elf_fixture.h"
#include "testing/files.h"

namespace runhv {
namespace {

using testing::HasSubstr;

class HostileKernel : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("RUNHV_WINHV", RUNHV_TEST_WINHV, 0);
    ::setenv("RUNHV_SOFTCPU", RUNHV_TEST_ENGINE_LIBRARY, 0);
    std::filesystem::create_directory(folder_);
    ASSERT_TRUE(write_file(folder_ / "disk", std::vector<std::byte>(4096)));
    std::ofstream(folder_ / "config.json")
        << R"({"ociVersion":"1.0.2","process":{"args":["/bin/true"],"cwd":"/"},)"
        << R"("root":{"path":"rootfs"},"vm":{"image":{"path":")" << (folder_ / "disk").string()
        << R"(","format":"raw"}}})";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Container> make(std::string_view code) {
    EXPECT_TRUE(write_file(folder_ / "kernel", ElfFixture{.content = code}.build()));
    ContainerConfig config;
    config.id = "hostile";
    config.bundle = folder_;
    config.default_kernel = folder_ / "kernel";
    config.tick_ns = 1'000'000;
    auto container = Container::create(config);
    EXPECT_TRUE(container) << to_string(container.error());
    return container ? *std::move(container) : nullptr;
  }

  const std::filesystem::path folder_ = std::filesystem::temp_directory_path() /
                                        ("runhv-hostile-" + std::to_string(std::random_device{}()));
};

TEST_F(HostileKernel, ThatNeverSpeaksIsEndedWithOneError) {
  const auto container = make("\xfa\xeb\xfe");  // cli; jmp .
  ASSERT_NE(container, nullptr);
  ASSERT_TRUE(container->start());

  const auto end = container->wait(std::nullopt);

  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Code::kGuestFailed);
  EXPECT_THAT(to_string(end.error()),
              HasSubstr("run container hostile: the guest's agent has not"));
  const auto again = container->wait(std::nullopt);
  ASSERT_FALSE(again);
  EXPECT_EQ(to_string(again.error()), to_string(end.error()));
}

TEST_F(HostileKernel, ThatPowersOffAtOnceHasNoExitStatus) {
  const auto container = make("\xe6\xf4\xeb\xfe");  // out 0xf4, al; jmp .
  ASSERT_NE(container, nullptr);
  ASSERT_TRUE(container->start());

  const auto end = container->wait(std::nullopt);

  ASSERT_FALSE(end);
  EXPECT_THAT(to_string(end.error()), HasSubstr("powered off and gave no exit status"));
}

}  // namespace
}  // namespace runhv
