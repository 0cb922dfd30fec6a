#include <filesystem>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "testing/fuse_fixture.h"

namespace runhv::devices {
namespace {

namespace fs = std::filesystem;
using fuse::Opcode;
using testing::FuseBody;

// --- the window ---

// With `large`, a file that can be shown, of one range and a little more.
class WindowTest : public testing::FuseFixture {
 protected:
  static constexpr std::uint64_t kRange = FileWindow::kRangeBytes;
  static constexpr std::uint64_t kBytes = kRange + 10'000;

  WindowTest() {
    write_all(shared / "large", "content");
    fs::resize_file(shared / "large", kBytes);
    large = look_up(top(), "large");
    EXPECT_NE(large, 0u);
  }

  int show(std::uint64_t node, std::uint64_t window_offset, std::uint64_t flags,
           std::uint64_t offset = 0, std::uint64_t size = kRange) {
    FuseBody body;
    body.u64(UINT64_MAX).u64(offset).u64(size).u64(flags).u64(window_offset);
    return ask(Opcode::kSetupmapping, node, body).error;
  }
  int hide(std::uint64_t window_offset, std::uint64_t size = kRange, std::uint32_t count = 1) {
    FuseBody body;
    body.u32(count).u64(window_offset).u64(size);
    return ask(Opcode::kRemovemapping, large, body).error;
  }
  std::string seen(std::uint64_t window_offset, std::size_t size = 7) {
    return testing::get_text(*guest_memory, Gpa{testing::kTestWindow.value + window_offset}, size);
  }
  void put(std::uint64_t window_offset, std::string_view text) {
    testing::put(*guest_memory, Gpa{testing::kTestWindow.value + window_offset}, text);
  }
  std::string on_host(std::size_t size = 7) const {
    return read_all(shared / "large").substr(0, size);
  }
  // The flags of struct fuse_attr, which is at the end of an entry.
  std::uint32_t flags_of(std::uint64_t parent, std::string_view name) {
    const Answer answer = ask(Opcode::kLookup, parent, FuseBody().name(name));
    return load_le<std::uint32_t>(answer.body, fuse::kEntryBytes - 4);
  }

  static constexpr std::uint64_t kRead = fuse::kMapReadable;
  static constexpr std::uint64_t kWrite = fuse::kMapReadable | fuse::kMapWritable;
  const std::string zeros = std::string(7, '\0');
  std::uint64_t large = 0;
};

TEST_F(WindowTest, SaysWhichFilesItShows) {
  EXPECT_EQ(flags_of(top(), "large"), fuse::kAttributeDax);
  EXPECT_EQ(flags_of(top(), "file"), 0u) << "a small one costs less to read";
  EXPECT_EQ(flags_of(top(), "sub"), 0u);
  fs::resize_file(shared / "large", 1);
  EXPECT_EQ(flags_of(top(), "large"), fuse::kAttributeDax) << "as long as the guest knows it";
  EXPECT_EQ(show(look_up(top(), "file"), 0, kRead), fuse::kEinval);
  EXPECT_EQ(show(look_up(top(), "sub"), 0, kRead), fuse::kEinval);
}

TEST_F(WindowTest, BothSidesSeeWhatTheOtherWrites) {
  open_file(large, 2);
  ASSERT_EQ(show(large, kRange, kWrite), 0);
  EXPECT_EQ(written_to.last, std::pair(testing::kTestWindow.value + kRange, kRange))
      << "decoded instructions of before";
  EXPECT_EQ(seen(kRange), "content");
  put(kRange, "changed");
  EXPECT_EQ(on_host(), "changed");
  std::fstream(shared / "large") << "by host";
  EXPECT_EQ(seen(kRange), "by host");
  ASSERT_EQ(hide(kRange), 0);
  EXPECT_EQ(seen(kRange), zeros);
  put(kRange, "nowhere");
  EXPECT_EQ(on_host(), "by host");
}

TEST_F(WindowTest, WhatMayOnlyBeReadKeepsWhatItIs) {
  const std::uint64_t same = look_up(read_only_top(), "large");
  EXPECT_EQ(show(same, 0, kWrite), fuse::kErofs);
  ASSERT_EQ(show(same, 0, kRead), 0);
  EXPECT_EQ(seen(0), "content");
  put(0, "changed");
  EXPECT_EQ(on_host(), "content");
  ASSERT_EQ(show(large, kRange, kRead), 0);
  put(kRange, "changed");
  EXPECT_EQ(on_host(), "content");
}

TEST_F(WindowTest, IsWrittenThroughWhileItIsOpenToWrite) {
  ASSERT_EQ(show(large, 0, kWrite), 0);
  put(0, "nowhere");
  EXPECT_EQ(on_host(), "content") << "nobody has it open";
  const std::uint64_t handle = open_file(large, 2);
  EXPECT_EQ(seen(0), "content");
  put(0, "changed");
  EXPECT_EQ(on_host(), "changed");
  const std::uint64_t second = open_file(large, 1);
  EXPECT_EQ(ask(Opcode::kRelease, large, FuseBody().u64(handle).zeros(16)).error, 0);
  put(0, "another");
  EXPECT_EQ(on_host(), "another");
  EXPECT_EQ(ask(Opcode::kRelease, large, FuseBody().u64(second).zeros(16)).error, 0);
  put(0, "nowhere");
  EXPECT_EQ(on_host(), "another");
}

TEST_F(WindowTest, RefusesPlacesThatAreNone) {
  EXPECT_EQ(show(large, kRanges * kRange, kRead), fuse::kEinval);
  EXPECT_EQ(show(large, UINT64_MAX - kRange + 1, kRead), fuse::kEinval);
  EXPECT_EQ(show(large, 4096, kRead), fuse::kEinval);
  EXPECT_EQ(show(large, 0, kRead, 4096), fuse::kEinval);
  EXPECT_EQ(show(large, 0, kRead, std::uint64_t{1} << 63), fuse::kEinval);
  EXPECT_EQ(show(large, 0, kRead, (std::uint64_t{1} << 63) - kRange), fuse::kEinval);
  EXPECT_EQ(show(large, 0, kRead, 0, 4096), fuse::kEinval);
  EXPECT_EQ(show(large, 0, kRead, 0, 2 * kRange), fuse::kEinval);
  EXPECT_EQ(show(large, 0, kRead, 0, 0), fuse::kEinval);
  EXPECT_EQ(show(large, 0, 4), fuse::kEinval);
  EXPECT_EQ(show(999, 0, kRead), fuse::kEnoent);
  EXPECT_EQ(show(fuse::kRootId, 0, kWrite), fuse::kErofs);
  EXPECT_EQ(ask(Opcode::kSetupmapping, large, FuseBody().u64(0)).error, fuse::kEinval);
  EXPECT_EQ(seen(0), zeros);
  ASSERT_EQ(show(large, 0, kRead), 0);
  EXPECT_EQ(hide(4096), fuse::kEinval);
  EXPECT_EQ(hide(kRanges * kRange), fuse::kEinval);
  EXPECT_EQ(hide(0, 4096), fuse::kEinval);
  EXPECT_EQ(hide(0, kRange, 2), fuse::kEinval) << "more than the request has";
  EXPECT_EQ(seen(0), "content") << "nothing half done";
}

TEST_F(WindowTest, AFileThatIsCutShortIsZeros) {
  ASSERT_EQ(show(large, 0, kRead), 0);
  EXPECT_EQ(seen(0), "content");
  fs::resize_file(shared / "large", 0);
  EXPECT_EQ(seen(0), zeros);
  EXPECT_EQ(seen(kRange - 7), zeros);
  std::fstream(shared / "large") << "another";
  EXPECT_EQ(attributes(large).size, 7u);
  EXPECT_EQ(seen(0), "another") << "from when the guest knows how long it is";
}

TEST_F(WindowTest, WhatIsWrittenToALostPageIsTold) {
  const std::uint64_t handle = open_file(large, 2);
  const auto sync = [&] { return ask(Opcode::kFsync, large, FuseBody().u64(handle).u64(0)).error; };
  ASSERT_EQ(show(large, 0, kWrite), 0);
  put(0, "kept");
  EXPECT_EQ(sync(), 0);
  fs::resize_file(shared / "large", 0);
  put(0, "changed");
  EXPECT_EQ(sync(), fuse::kEio);
  EXPECT_EQ(sync(), 0) << "once";
  EXPECT_EQ(fs::file_size(shared / "large"), 0u);
}

TEST_F(WindowTest, IsEmptyWhenTheGuestBeginsAnew) {
  ASSERT_EQ(show(large, 0, kRead), 0);
  EXPECT_EQ(ask(Opcode::kDestroy, 0).error, 0);
  EXPECT_EQ(seen(0), zeros);
  large = look_up(top(), "large");
  ASSERT_EQ(show(large, 0, kRead), 0);
  EXPECT_EQ(ask(Opcode::kInit, 0, testing::fuse_init_body()).error, 0);
  EXPECT_EQ(seen(0), zeros);
}

TEST_F(WindowTest, LosesTheFilesOfAShareThatGoes) {
  std::size_t number = 0;
  ASSERT_EQ(server->add_share({open(shared), true, false}, number), 0);
  const std::uint64_t file = look_up(look_up(fuse::kRootId, std::to_string(number)), "large");
  ASSERT_EQ(show(file, 0, kRead), 0);
  ASSERT_EQ(show(large, kRange, kRead), 0);
  server->remove_share(number);
  EXPECT_EQ(seen(0), zeros);
  EXPECT_EQ(seen(kRange), "content");
  EXPECT_EQ(show(file, 0, kRead), fuse::kEnoent);
}

TEST_F(WindowTest, KeepsTheFilesOfAShareThatOthersHaveAsWell) {
  std::size_t number = 0;
  ASSERT_EQ(server->add_share({open(shared), true, false}, number), 0);
  std::size_t again = 0;
  ASSERT_EQ(server->add_share({open(shared), true, false}, again), 0);
  ASSERT_EQ(again, number);
  const std::uint64_t file = look_up(look_up(fuse::kRootId, std::to_string(number)), "large");
  ASSERT_EQ(show(file, 0, kRead), 0);
  server->remove_share(number);
  EXPECT_EQ(seen(0), "content");
  server->remove_share(number);
  EXPECT_EQ(seen(0), zeros);
}

TEST_F(WindowTest, WhatARequestChangesIsNotRunAsItWas) {
  constexpr std::uint64_t kFirst = testing::kTestWindow.value;
  const std::uint64_t handle = open_file(large, 2);
  ASSERT_EQ(show(large, kRange, kRead), 0);
  ASSERT_EQ(show(large, 0, kRead, kRange), 0);
  const auto after = [&](auto act) {
    written_to.last = {};
    act();
    return written_to.last;
  };
  using Place = std::pair<std::uint64_t, std::uint64_t>;
  EXPECT_EQ(after([&] { write(large, handle, 100, "text"); }), Place(kFirst + kRange + 100, 4));
  EXPECT_EQ(after([&] { write(large, handle, kRange + 8, "text"); }), Place(kFirst + 8, 4));
  EXPECT_EQ(after([&] { write(large, handle, 2 * kRange, "text"); }), Place());
  EXPECT_NE(after([&] { write(large, handle, 0, "text", 0, 2 | fuse::kOpenAppend); }), Place());
  ASSERT_EQ(hide(0), 0);
  EXPECT_EQ(after([&] { open_file(large, 0); }), Place(kFirst + kRange, kRange))
      << "what the host has written before it is run";
}

TEST_F(WindowTest, IsNotThereWhereTheHostShowsNoFiles) {
  std::vector<Share> shares;
  shares.push_back({open(shared), false, true});
  server = std::make_unique<FuseServer>(std::move(shares), kLimit, nullptr);
  const Answer init = ask(Opcode::kInit, 0, testing::fuse_init_body());
  EXPECT_EQ(load_le<std::uint32_t>(init.body, 12) & fuse::kMapAlignment, 0u);
  EXPECT_EQ(load_le<std::uint32_t>(init.body, 32), 0u);
  EXPECT_EQ(flags_of(top(), "large"), 0u);
  EXPECT_EQ(show(look_up(top(), "large"), 0, kRead), fuse::kEnosys);
  EXPECT_EQ(hide(0), fuse::kEnosys);
}

}  // namespace
}  // namespace runhv::devices
