#include "devices/fs/fuse_server.h"

#include <atomic>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "testing/fuse_fixture.h"

namespace runhv::devices {
namespace {

namespace fs = std::filesystem;
using fuse::Opcode;
using testing::FuseBody;

class FuseServerTest : public testing::FuseFixture {};

// --- the session ---

TEST_F(FuseServerTest, AnswersNothingBeforeInit) {
  server = make_server();
  EXPECT_EQ(ask(Opcode::kLookup, 1, FuseBody().name("0")).error, fuse::kEio);
}

TEST_F(FuseServerTest, NegotiatesWhatItOffers) {
  const Answer all = ask(Opcode::kInit, 0, testing::fuse_init_body());
  FuseArguments in = all.fields();
  EXPECT_EQ(in.u32(), 7u);
  EXPECT_EQ(in.u32(), 41u);
  in.skip(4);
  const std::uint32_t features = in.u32();
  EXPECT_NE(features & fuse::kPagesLimit, 0u);
  EXPECT_EQ(features & (1u << 16), 0u) << "no writeback cache: the host changes files, too";
  in.skip(4);
  EXPECT_EQ(in.u32(), 1u << 20);
  in.skip(4);
  EXPECT_EQ(in.bytes(2)[1], std::byte{1}) << "256 pages";

  const Answer few = ask(Opcode::kInit, 0, testing::fuse_init_body(0));
  FuseArguments little = few.fields();
  little.skip(12);
  EXPECT_EQ(little.u32(), 0u);
}

TEST_F(FuseServerTest, RefusesAProtocolThatIsTooOld) {
  EXPECT_EQ(ask(Opcode::kInit, 0, FuseBody().u32(7).u32(22).zeros(56)).error, fuse::kEproto);
  EXPECT_EQ(ask(Opcode::kInit, 0, FuseBody().u32(7)).error, fuse::kEinval);
}

TEST_F(FuseServerTest, AGuestThatBeginsAnewKnowsNothing) {
  const std::uint64_t id = top();
  EXPECT_EQ(ask(Opcode::kInit, 0, testing::fuse_init_body()).error, 0);
  (void)attributes(id);
  EXPECT_EQ(error, fuse::kEnoent);
}

TEST_F(FuseServerTest, RefusesALengthThatIsNotTheRequests) {
  auto request = testing::fuse_request(Opcode::kGetattr, 1, FuseBody().zeros(16).written());
  store_le<std::uint32_t>(request, 0, 5000);
  EXPECT_EQ(ask_bytes(request).error, fuse::kEinval);
  const std::vector<std::byte> large(fuse::kMaxArgumentBytes + 1);
  EXPECT_EQ(ask_bytes(testing::fuse_request(Opcode::kLookup, 1, large)).error, fuse::kEinval);
}

TEST_F(FuseServerTest, RefusesArgumentsThatEndTooSoon) {
  EXPECT_EQ(ask(Opcode::kMkdir, top(), FuseBody().u32(0755).name("x")).error, fuse::kEinval);
  EXPECT_EQ(ask(Opcode::kCreate, top(), FuseBody().u32(2).u32(0644).name("x")).error,
            fuse::kEinval);
  EXPECT_EQ(ask(Opcode::kSymlink, top(), FuseBody().name("x").bytes("y")).error, fuse::kEinval);
  EXPECT_FALSE(fs::exists(fs::symlink_status(shared / "x")));
}

TEST_F(FuseServerTest, AnswersNothingWhereThereIsNoRoom) {
  const auto request = testing::fuse_request(Opcode::kGetattr, 1, FuseBody().zeros(16).written());
  (void)ask_bytes(request, 15);
  EXPECT_EQ(written, 0u);
  EXPECT_EQ(ask_bytes(request, 20).error, fuse::kEio);
  EXPECT_EQ(written, fuse::kOutHeaderBytes);
}

TEST_F(FuseServerTest, KnowsNoOtherRequest) {
  EXPECT_EQ(ask(static_cast<Opcode>(4711), 1).error, fuse::kEnosys);
  EXPECT_EQ(ask(static_cast<Opcode>(31), 1).error, fuse::kEnosys) << "locks are the guest's own";
  EXPECT_EQ(ask(Opcode::kIoctl, 1).error, fuse::kEnotty);
}

// --- names ---

TEST_F(FuseServerTest, ShowsTheSharesByTheirNumbers) {
  const Entry directory = entry_of(ask(Opcode::kLookup, 1, FuseBody().name("0")));
  EXPECT_EQ(directory.attributes.mode & fuse::kTypeMask, fuse::kTypeDirectory);
  const Entry file = entry_of(ask(Opcode::kLookup, 1, FuseBody().name("2")));
  EXPECT_EQ(file.attributes.mode & fuse::kTypeMask, fuse::kTypeRegular);
  EXPECT_EQ(file.attributes.size, 7u);
  for (const char* name : {"3", "00x", "-1", "18446744073709551616", "x"}) {
    EXPECT_EQ(look_up(1, name), 0u);
    EXPECT_EQ(error, fuse::kEnoent) << name;
  }
  EXPECT_EQ(ask(Opcode::kMkdir, 1, FuseBody().u32(0755).u32(0).name("x")).error, fuse::kErofs);
  EXPECT_EQ(ask(Opcode::kUnlink, 1, FuseBody().name("0")).error, fuse::kErofs);
}

TEST_F(FuseServerTest, ANameThatIsNotThereIsAnAnswerToKeep) {
  const Answer answer = ask(Opcode::kLookup, top(), FuseBody().name("none"));
  ASSERT_EQ(answer.error, 0);
  FuseArguments in = answer.fields();
  EXPECT_EQ(in.u64(), 0u);
  in.skip(24);
  EXPECT_EQ(in.u32(), fuse::kCacheNs);
}

TEST_F(FuseServerTest, RefusesNamesThatLeadElsewhere) {
  for (const char* name : {"", ".", "..", "sub/..", "/etc", "../outside", "sub/"}) {
    EXPECT_EQ(look_up(top(), name), 0u) << name;
    EXPECT_EQ(error, fuse::kEinval) << name;
    EXPECT_EQ(ask(Opcode::kUnlink, top(), FuseBody().name(name)).error, fuse::kEinval) << name;
    EXPECT_EQ(ask(Opcode::kMkdir, top(), FuseBody().u32(0755).u32(0).name(name)).error,
              fuse::kEinval);
    EXPECT_EQ(ask(Opcode::kCreate, top(), create_body(name, 2, 0644)).error, fuse::kEinval);
    EXPECT_EQ(ask(Opcode::kRename, top(), FuseBody().u64(top()).name("file").name(name)).error,
              fuse::kEinval);
    EXPECT_EQ(ask(Opcode::kLink, top(), FuseBody().u64(look_up(top(), "file")).name(name)).error,
              fuse::kEinval);
  }
  (void)look_up(top(), std::string(256, 'a'));
  EXPECT_EQ(error, fuse::kEnametoolong);
  EXPECT_EQ(ask(Opcode::kLookup, top(), FuseBody().bytes("file")).error, fuse::kEinval) << "no NUL";
}

TEST_F(FuseServerTest, ALinkIsAFileOfItsOwn) {
  fs::create_symlink("../outside", shared / "out");
  fs::create_symlink(base / "outside/secret", shared / "secret");
  const Entry directory = entry_of(ask(Opcode::kLookup, top(), FuseBody().name("out")));
  EXPECT_EQ(directory.attributes.mode & fuse::kTypeMask, 0120000u);
  EXPECT_EQ(ask(Opcode::kReadlink, directory.id).text(), "../outside");
  EXPECT_EQ(look_up(directory.id, "secret"), 0u);
  EXPECT_EQ(error, fuse::kEnotdir);
  EXPECT_EQ(ask(Opcode::kUnlink, directory.id, FuseBody().name("secret")).error, fuse::kEnotdir);
  (void)open_file(directory.id, 0, Opcode::kOpendir);
  EXPECT_NE(error, 0);
  const std::uint64_t secret = look_up(top(), "secret");
  (void)open_file(secret, 0);
  EXPECT_EQ(error, fuse::kEinval);
  EXPECT_EQ(ask(Opcode::kSetattr, secret, set_body(fuse::kSetSize, 0, 0)).error, fuse::kEinval);
  EXPECT_NE(ask(Opcode::kSetattr, secret, set_body(fuse::kSetMode, 0, 0777)).error, 0);
  // Created over a link: neither it nor what it names.
  EXPECT_NE(ask(Opcode::kCreate, top(), create_body("secret", 2 | fuse::kOpenTruncate, 0644)).error,
            0);
  EXPECT_EQ(read_all(base / "outside/secret"), "secret");
}

TEST_F(FuseServerTest, StaysInsideWhileTheHostExchangesDirectoriesForLinks) {
  write_all(shared / "sub/secret", "inside");
  const std::uint64_t parent = top();
  std::atomic<bool> done = false;
  std::thread host([&] {
    while (!done) {
      fs::rename(shared / "sub", shared / "was");
      fs::create_directory_symlink(base / "outside", shared / "sub");
      fs::remove(shared / "sub");
      fs::rename(shared / "was", shared / "sub");
    }
  });
  int opened = 0;
  // The host may be held up at a link: who looks waits for the directory to come back.
  for (int i = 0; i < 3000 || opened == 0; ++i) {
    const std::uint64_t directory = look_up(parent, "sub");
    if (directory == 0) {
      std::this_thread::yield();
      continue;
    }
    const std::uint64_t file = look_up(directory, "secret");
    if (file != 0) {
      const std::uint64_t handle = open_file(file, 0);
      if (handle != 0) {
        ++opened;
        EXPECT_EQ(ask(Opcode::kRead, file, read_body(handle, 0, 100)).text(), "inside");
        (void)ask(Opcode::kRelease, file, FuseBody().u64(handle).zeros(16));
      }
      (void)ask(Opcode::kForget, file, FuseBody().u64(1));
    }
    (void)ask(Opcode::kForget, directory, FuseBody().u64(1));
  }
  done = true;
  host.join();
}

TEST_F(FuseServerTest, OpensNeitherPipesNorDevices) {
  EXPECT_EQ(
      ask(Opcode::kMknod, top(), FuseBody().u32(0010644).u32(0).u32(0).u32(0).name("pipe")).error,
      0);
  const std::uint64_t pipe = look_up(top(), "pipe");
  (void)open_file(pipe, 0);
  EXPECT_EQ(error, fuse::kEinval) << "and it does not wait for a writer";
  (void)open_file(pipe, 1);
  EXPECT_EQ(error, fuse::kEinval);
  EXPECT_EQ(ask(Opcode::kCreate, top(), create_body("pipe", 2, 0644)).error, fuse::kEinval);
}

TEST_F(FuseServerTest, OneFileIsOneNodeWhateverItsNames) {
  fs::create_hard_link(shared / "file", shared / "sub/other");
  const std::uint64_t id = look_up(top(), "file");
  EXPECT_EQ(look_up(look_up(top(), "sub"), "other"), id);
  EXPECT_NE(look_up(read_only_top(), "file"), id) << "of another share: it may only be read";
  EXPECT_EQ(attributes(look_up(read_only_top(), "file")).inode, attributes(id).inode);
}

TEST_F(FuseServerTest, ServesManyRequestsAtOnce) {
  const std::uint64_t parent = top();
  std::atomic<int> refused = 0;
  const auto guest = [&](int number) {
    // The numbers at these places of the answer.
    const auto call = [&](Opcode opcode, std::uint64_t node, const FuseAnswer& body,
                          std::initializer_list<std::size_t> offsets = {}) {
      const auto request = testing::fuse_request(opcode, node, body.written());
      std::vector<std::byte> out(4096);
      const ReadSegment in{Gpa{0}, request};
      const WriteSegment to{Gpa{0}, out};
      if (server->serve({&in, 1}, {&to, 1}) != 0 && load_le<std::int32_t>(out, 4) != 0) ++refused;
      std::vector<std::uint64_t> numbers;
      for (const std::size_t offset : offsets) {
        numbers.push_back(load_le<std::uint64_t>(out, fuse::kOutHeaderBytes + offset));
      }
      return numbers;
    };
    const std::string own = "own" + std::to_string(number);
    for (int i = 0; i < 200; ++i) {
      const auto shared_file = call(Opcode::kLookup, parent, FuseBody().name("file"), {0})[0];
      const auto handle = call(Opcode::kOpen, shared_file, FuseBody().u32(0).u32(0), {0})[0];
      (void)call(Opcode::kRead, shared_file, read_body(handle, 0, 100));
      (void)call(Opcode::kRelease, shared_file, FuseBody().u64(handle).zeros(16));
      (void)call(Opcode::kForget, shared_file, FuseBody().u64(1));
      const auto made =
          call(Opcode::kCreate, parent, create_body(own, 2, 0600), {0, fuse::kEntryBytes});
      (void)call(Opcode::kUnlink, parent, FuseBody().name(own));
      (void)call(Opcode::kRelease, made[0], FuseBody().u64(made[1]).zeros(16));
      (void)call(Opcode::kForget, made[0], FuseBody().u64(1));
    }
  };
  std::vector<std::thread> guests;
  for (int number = 0; number < 3; ++number) guests.emplace_back(guest, number);
  for (std::thread& each : guests) each.join();
  EXPECT_EQ(refused, 0);
  // Nothing was left behind: as many files as ever may be known.
  for (std::size_t i = 0; i + 1 < kLimit; ++i) {
    write_all(shared / ("n" + std::to_string(i)), "");
    EXPECT_NE(look_up(parent, "n" + std::to_string(i)), 0u);
  }
}

TEST_F(FuseServerTest, ForgetsANodeWithItsLastLookUp) {
  const std::uint64_t id = look_up(top(), "file");
  EXPECT_EQ(look_up(top(), "file"), id);
  EXPECT_EQ(ask(Opcode::kForget, id, FuseBody().u64(1)).body.size(), 0u);
  EXPECT_EQ(written, 0u) << "no answer";
  EXPECT_EQ(attributes(id).size, 7u);
  (void)ask(Opcode::kBatchForget, 0, FuseBody().u32(1).u32(0).u64(id).u64(5));
  (void)attributes(id);
  EXPECT_EQ(error, fuse::kEnoent);
  EXPECT_NE(look_up(top(), "file"), id) << "ids are never used again";
  (void)ask(Opcode::kBatchForget, 0, FuseBody().u32(UINT32_MAX).u32(0).u64(99).u64(5));
}

TEST_F(FuseServerTest, SharesComeAndGoUnderNumbersOfTheirOwn) {
  EXPECT_EQ(look_up(fuse::kRootId, "3"), 0u);
  std::size_t index = 0;
  ASSERT_EQ(server->add_share({open(base / "outside"), false, true}, index), 0);
  EXPECT_EQ(index, 3u);
  const std::uint64_t outside = look_up(fuse::kRootId, "3");
  const std::uint64_t secret = look_up(outside, "secret");
  const std::uint64_t handle = open_file(secret, 0);
  EXPECT_EQ(ask(Opcode::kRead, secret, read_body(handle, 0, 100)).text(), "secret");

  server->remove_share(index);
  EXPECT_EQ(look_up(fuse::kRootId, "3"), 0u);
  EXPECT_EQ(look_up(outside, "secret"), 0u);
  EXPECT_NE(ask(Opcode::kRead, secret, read_body(handle, 0, 100)).error, 0);
  EXPECT_EQ(read_all(shared / "file"), "content");
  EXPECT_NE(look_up(top(), "file"), 0u);

  ASSERT_EQ(server->add_share({open(base / "outside"), false, true}, index), 0);
  EXPECT_EQ(index, 4u);
}

TEST_F(FuseServerTest, AShareThatIsThereAlreadyIsTheSameUntilAllHaveRemovedIt) {
  std::size_t index = 9;
  ASSERT_EQ(server->add_share({open(shared), false, true}, index), 0);
  EXPECT_EQ(index, 0u);
  const std::uint64_t file = look_up(top(), "file");
  server->remove_share(index);
  EXPECT_EQ(look_up(top(), "file"), file);
  // One with other rights is another.
  ASSERT_EQ(server->add_share({open(shared / "sub"), true, true}, index), 0);
  EXPECT_EQ(index, 3u);
}

TEST_F(FuseServerTest, KnowsNoMoreFilesThanItsLimit) {
  for (std::size_t i = 0; i < kLimit + 8; ++i) write_all(shared / std::to_string(i), "");
  const std::uint64_t parent = top();
  std::vector<std::uint64_t> ids;
  for (std::size_t i = 0; i < kLimit + 8; ++i) {
    const std::uint64_t id = look_up(parent, std::to_string(i));
    if (id != 0) ids.push_back(id);
  }
  EXPECT_EQ(ids.size(), kLimit - 1);
  EXPECT_EQ(error, fuse::kEnfile);
  (void)open_file(ids[0], 0);
  EXPECT_EQ(error, fuse::kEnfile);
  (void)ask(Opcode::kForget, ids[1], FuseBody().u64(1));
  (void)open_file(ids[0], 0);
  EXPECT_EQ(error, 0);
}

TEST_F(FuseServerTest, MadeUpNumbersFindNothing) {
  for (const std::uint64_t number : {std::uint64_t{0}, std::uint64_t{999}, UINT64_MAX}) {
    (void)attributes(number);
    EXPECT_EQ(error, fuse::kEnoent);
    (void)open_file(number, 2);
    EXPECT_EQ(error, fuse::kEnoent);
    EXPECT_EQ(ask(Opcode::kRead, 1, read_body(number, 0, 10)).error, fuse::kEbadf);
    EXPECT_EQ(write(1, number, 0, "x").error, fuse::kEbadf);
    EXPECT_EQ(ask(Opcode::kReaddir, 1, read_body(number, 0, 10)).error, fuse::kEbadf);
    EXPECT_EQ(ask(Opcode::kRelease, 1, FuseBody().u64(number).zeros(16)).error, fuse::kEbadf);
    EXPECT_EQ(ask(Opcode::kFsync, 1, FuseBody().u64(number).zeros(8)).error, fuse::kEbadf);
    EXPECT_EQ(ask(Opcode::kFlush, 1, FuseBody().u64(number).zeros(16)).error, fuse::kEbadf);
    EXPECT_EQ(ask(Opcode::kLseek, 1, FuseBody().u64(number).zeros(16)).error, fuse::kEbadf);
    EXPECT_EQ(ask(Opcode::kFallocate, 1, FuseBody().u64(number).zeros(24)).error, fuse::kEbadf);
    EXPECT_EQ(ask(Opcode::kCopyFileRange, 1, FuseBody().u64(number).zeros(48)).error, fuse::kEbadf);
  }
  (void)ask(Opcode::kForget, 999, FuseBody().u64(1));
}

// --- read-only ---

TEST_F(FuseServerTest, AReadOnlyShareCannotBeChangedInAnyWay) {
  const std::uint64_t parent = read_only_top();
  const std::uint64_t file = look_up(parent, "file");
  const std::uint64_t writable = top();
  const auto refused = [&](Opcode opcode, std::uint64_t node, const FuseAnswer& body) {
    EXPECT_EQ(ask(opcode, node, body).error, fuse::kErofs) << static_cast<int>(opcode);
  };
  refused(Opcode::kMkdir, parent, FuseBody().u32(0755).u32(0).name("x"));
  refused(Opcode::kMknod, parent, FuseBody().u32(0100644).u32(0).u32(0).u32(0).name("x"));
  refused(Opcode::kSymlink, parent, FuseBody().name("x").name("y"));
  refused(Opcode::kCreate, parent, create_body("x", 2, 0644));
  refused(Opcode::kTmpfile, parent, create_body("x", 2, 0644));
  refused(Opcode::kUnlink, parent, FuseBody().name("file"));
  refused(Opcode::kRmdir, parent, FuseBody().name("sub"));
  refused(Opcode::kRename, parent, FuseBody().u64(writable).name("file").name("x"));
  refused(Opcode::kRename2, writable, FuseBody().u64(parent).u64(0).name("file").name("x"));
  refused(Opcode::kLink, parent, FuseBody().u64(file).name("x"));
  refused(Opcode::kSetattr, file, set_body(fuse::kSetMode, 0, 0777));
  refused(Opcode::kSetxattr, file, FuseBody().u32(1).u32(0).u64(0).name("user.a").bytes("x"));
  refused(Opcode::kRemovexattr, file, FuseBody().name("user.a"));
  refused(Opcode::kOpen, file, FuseBody().u32(1).u32(0));
  refused(Opcode::kOpen, file, FuseBody().u32(2).u32(0));
  refused(Opcode::kOpen, file, FuseBody().u32(fuse::kOpenTruncate).u32(0));
  EXPECT_EQ(ask(Opcode::kLink, writable, FuseBody().u64(file).name("x")).error, fuse::kExdev)
      << "a second name in a share that may be written";
  const std::uint64_t handle = open_file(file, 0);
  EXPECT_EQ(write(file, handle, 0, "x").error, fuse::kEbadf);
  EXPECT_EQ(read_all(shared / "file"), "content");
}

}  // namespace
}  // namespace runhv::devices
