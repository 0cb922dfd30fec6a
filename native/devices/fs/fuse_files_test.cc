#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "testing/fuse_fixture.h"

namespace runhv::devices {
namespace {

namespace fs = std::filesystem;
using fuse::Opcode;
using testing::FuseBody;
using testing::FuseCaller;

class FuseFilesTest : public testing::FuseFixture {};

// --- files ---

TEST_F(FuseFilesTest, ReadsAndWrites) {
  const std::uint64_t file = look_up(top(), "file");
  const std::uint64_t handle = open_file(file, 2);
  EXPECT_EQ(ask(Opcode::kRead, file, read_body(handle, 3, 100)).text(), "tent");
  EXPECT_EQ(write(file, handle, 7, "+more").fields().u32(), 5u);
  EXPECT_EQ(read_all(shared / "file"), "content+more");
  EXPECT_EQ(ask(Opcode::kRead, file, read_body(handle, 100, 100)).body.size(), 0u);
  EXPECT_EQ(ask(Opcode::kRead, file, read_body(handle, UINT64_MAX, 100)).error, fuse::kEinval);
  EXPECT_EQ(ask(Opcode::kFsync, file, FuseBody().u64(handle).u32(1).u32(0)).error, 0);
  EXPECT_EQ(ask(Opcode::kFlush, file, FuseBody().u64(handle).zeros(16)).error, 0);
  EXPECT_EQ(ask(Opcode::kRelease, file, FuseBody().u64(handle).zeros(16)).error, 0);
  EXPECT_EQ(ask(Opcode::kSyncfs, 1, FuseBody().zeros(8)).error, 0);
}

TEST_F(FuseFilesTest, AsksForAFlushOnlyWhereTheHostMayTellSomething) {
  // A tmpfs, and a file system that nobody here knows.
  const fs::path memory = "/dev/shm" / base.filename();
  fs::create_directory(memory);
  write_all(memory / "file", "content");
  std::vector<Share> shares;
  shares.push_back({open(memory), false, true});
  shares.push_back({open("/proc/self"), false, true});
  server = std::make_unique<FuseServer>(std::move(shares), kLimit, make_window());
  ASSERT_EQ(ask(Opcode::kInit, 0, testing::fuse_init_body()).error, 0);
  const auto wants_flush = [&](std::uint64_t node, std::uint32_t access) {
    const Answer answer = ask(Opcode::kOpen, node, FuseBody().u32(access).u32(0));
    FuseArguments out = answer.fields();
    out.skip(8);
    const bool flushes = (out.u32() & fuse::kOpenNoFlush) == 0;
    EXPECT_TRUE(out.ok());
    return flushes;
  };
  const std::uint64_t in_memory = look_up(look_up(fuse::kRootId, "0"), "file");
  const std::uint64_t unknown = look_up(look_up(fuse::kRootId, "1"), "comm");
  EXPECT_FALSE(wants_flush(in_memory, 1));
  EXPECT_FALSE(wants_flush(in_memory, 2));
  EXPECT_TRUE(wants_flush(unknown, 1));
  EXPECT_TRUE(wants_flush(unknown, 2));
  EXPECT_FALSE(wants_flush(unknown, 0)) << "what is only read leaves nothing to be told";
  fs::remove_all(memory);
}

TEST_F(FuseFilesTest, WhoCanOnlyWriteFillsNoCache) {
  const std::uint64_t file = look_up(top(), "file");
  const auto flags = [&](std::uint32_t access) {
    const Answer answer = ask(Opcode::kOpen, file, FuseBody().u32(access).u32(0));
    return load_le<std::uint32_t>(answer.body, 8) & (fuse::kOpenDirectIo | fuse::kOpenKeepCache);
  };
  EXPECT_EQ(flags(0), fuse::kOpenKeepCache);
  EXPECT_EQ(flags(1), fuse::kOpenDirectIo);
  EXPECT_EQ(flags(2), fuse::kOpenKeepCache);
}

TEST_F(FuseFilesTest, RefusesAWriteWhoseSizeIsNotItsContents) {
  const std::uint64_t file = look_up(top(), "file");
  const std::uint64_t handle = open_file(file, 2);
  FuseBody body;
  body.u64(handle).u64(0).u32(100).zeros(20).bytes("short");
  EXPECT_EQ(ask(Opcode::kWrite, file, body).error, fuse::kEinval);
  EXPECT_EQ(read_all(shared / "file"), "content");
}

TEST_F(FuseFilesTest, AppendsAtTheEndThatTheHostKnows) {
  const std::uint64_t file = look_up(top(), "file");
  const std::uint64_t handle = open_file(file, 1 | fuse::kOpenAppend);
  write_all(shared / "file", "the host wrote");
  EXPECT_EQ(write(file, handle, 7, "!", 0, 1 | fuse::kOpenAppend).error, 0);
  EXPECT_EQ(read_all(shared / "file"), "the host wrote!");
  EXPECT_EQ(write(file, handle, 0, "T", fuse::kWriteFromCache, 1 | fuse::kOpenAppend).error, 0);
  EXPECT_EQ(read_all(shared / "file"), "The host wrote!");
}

TEST_F(FuseFilesTest, CreatesFiles) {
  const Answer answer = ask(Opcode::kCreate, top(), create_body("new", 2, 0666, 022));
  ASSERT_EQ(answer.error, 0);
  FuseArguments in = answer.fields();
  const Entry entry = take_entry(in);
  const std::uint64_t handle = in.u64();
  EXPECT_EQ(entry.attributes.mode, fuse::kTypeRegular | 0644);
  EXPECT_EQ(write(entry.id, handle, 0, "hello").error, 0);
  EXPECT_EQ(read_all(shared / "new"), "hello");
  EXPECT_EQ(ask(Opcode::kCreate, top(), create_body("new", 2 | fuse::kOpenExclusive, 0644)).error,
            fuse::kEexist);
  EXPECT_EQ(ask(Opcode::kCreate, top(), create_body("new", 2, 0644)).error, 0);
  EXPECT_EQ(read_all(shared / "new"), "hello");
  EXPECT_EQ(ask(Opcode::kCreate, top(), create_body("new", 2 | fuse::kOpenTruncate, 0644)).error,
            0);
  EXPECT_EQ(read_all(shared / "new"), "");
}

TEST_F(FuseFilesTest, AnUnnamedFileGetsItsNameByALink) {
  const Answer answer = ask(Opcode::kTmpfile, top(), create_body("#1", 2, 0600));
  ASSERT_EQ(answer.error, 0);
  FuseArguments in = answer.fields();
  const Entry entry = take_entry(in);
  EXPECT_EQ(entry.attributes.links, 0u);
  EXPECT_EQ(write(entry.id, in.u64(), 0, "text").error, 0);
  EXPECT_EQ(ask(Opcode::kLink, top(), FuseBody().u64(entry.id).name("named")).error, 0);
  EXPECT_EQ(read_all(shared / "named"), "text");
}

TEST_F(FuseFilesTest, MakesRenamesAndRemoves) {
  EXPECT_EQ(ask(Opcode::kMkdir, top(), FuseBody().u32(0777).u32(077).name("dir")).error, 0);
  EXPECT_EQ(attributes(look_up(top(), "dir")).mode, fuse::kTypeDirectory | 0700);
  EXPECT_EQ(ask(Opcode::kSymlink, top(), FuseBody().name("link").name("/any/where")).error, 0);
  EXPECT_EQ(fs::read_symlink(shared / "link"), "/any/where");
  const std::uint64_t sub = look_up(top(), "sub");
  EXPECT_EQ(ask(Opcode::kRename, top(), FuseBody().u64(sub).name("file").name("moved")).error, 0);
  EXPECT_EQ(read_all(shared / "sub/moved"), "content");
  write_all(shared / "file", "second");
  constexpr std::uint32_t kNoReplace = 1;
  constexpr std::uint32_t kExchange = 2;
  const auto rename2 = [&](std::uint32_t flags) {
    FuseBody body;
    body.u64(sub).u32(flags).u32(0).name("file").name("moved");
    return ask(Opcode::kRename2, top(), body).error;
  };
  EXPECT_EQ(rename2(kNoReplace), fuse::kEexist);
  EXPECT_EQ(rename2(kExchange), 0);
  EXPECT_EQ(read_all(shared / "file"), "content");
  EXPECT_EQ(ask(Opcode::kUnlink, sub, FuseBody().name("moved")).error, 0);
  EXPECT_EQ(ask(Opcode::kRmdir, top(), FuseBody().name("sub")).error, 0);
  EXPECT_FALSE(fs::exists(shared / "sub"));
}

TEST_F(FuseFilesTest, ChangesAttributes) {
  const std::uint64_t file = look_up(top(), "file");
  const Answer answer = ask(
      Opcode::kSetattr, file,
      set_body(fuse::kSetMode | fuse::kSetSize | fuse::kSetAccessed | fuse::kSetModified, 3, 0640));
  ASSERT_EQ(answer.error, 0);
  FuseArguments in = answer.fields();
  in.skip(16);
  const Attributes changed = take_attributes(in);
  EXPECT_EQ(changed.mode, fuse::kTypeRegular | 0640);
  EXPECT_EQ(changed.size, 3u);
  EXPECT_EQ(read_all(shared / "file"), "con");
  FuseArguments times = answer.fields();
  times.skip(16 + 24);
  EXPECT_EQ(times.u64(), 1000u);
  EXPECT_EQ(times.u64(), 2000u);
  EXPECT_EQ(ask(Opcode::kSetattr, 1, set_body(fuse::kSetMode, 0, 0777)).error, fuse::kErofs);
}

TEST_F(FuseFilesTest, TellsAllOfAFile) {
  const std::uint64_t file = look_up(top(), "file");
  const Answer answer = ask(Opcode::kStatx, file, FuseBody().zeros(24));
  ASSERT_EQ(answer.error, 0);
  EXPECT_EQ(answer.body.size(), 32u + 256);
  FuseArguments in = answer.fields();
  in.skip(32);
  EXPECT_EQ(in.u32() & 0x7ff, 0x7ffu);
  in.skip(12 + 4 + 8 + 4 + 8);
  EXPECT_EQ(in.u64(), 7u) << "its size";
  const Answer system = ask(Opcode::kStatfs, file);
  EXPECT_EQ(system.body.size(), 80u);
  EXPECT_GT(system.fields().u64(), 0u);
}

TEST_F(FuseFilesTest, HolesAreFoundMadeAndCopiedOver) {
  const std::uint64_t file = look_up(top(), "file");
  const std::uint64_t handle = open_file(file, 2);
  const auto allocate = [&](std::uint64_t offset, std::uint64_t size, std::uint32_t mode) {
    FuseBody body;
    body.u64(handle).u64(offset).u64(size).u32(mode).u32(0);
    return ask(Opcode::kFallocate, file, body).error;
  };
  EXPECT_EQ(write(file, handle, 1 << 20, "far").error, 0);
  const auto seek = [&](std::uint64_t offset, std::uint32_t whence) {
    const Answer answer =
        ask(Opcode::kLseek, file, FuseBody().u64(handle).u64(offset).u32(whence).u32(0));
    error = answer.error;
    return answer.fields().u64();
  };
  EXPECT_EQ(seek(4096, 3), 1u << 20);
  EXPECT_EQ(seek(0, 4), 4096u);
  (void)seek(0, 0);
  EXPECT_EQ(error, fuse::kEinval);
  constexpr std::uint32_t kPunchHole = 1 | 2;
  EXPECT_EQ(allocate(0, 2 << 20, 0), 0);
  EXPECT_EQ(fs::file_size(shared / "file"), 2u << 20);
  EXPECT_EQ(allocate(0, 4096, kPunchHole), 0);
  EXPECT_EQ(ask(Opcode::kRead, file, read_body(handle, 0, 7)).text(), std::string(7, '\0'));

  write_all(shared / "target", "");
  const std::uint64_t target = look_up(top(), "target");
  const std::uint64_t to = open_file(target, 2);
  FuseBody copy;
  copy.u64(handle).u64(1 << 20).u64(target).u64(to).u64(2).u64(3).u64(0);
  EXPECT_EQ(ask(Opcode::kCopyFileRange, file, copy).fields().u32(), 3u);
  EXPECT_EQ(read_all(shared / "target"), std::string(2, '\0') + "far");
}

TEST_F(FuseFilesTest, ListsDirectoriesInAnyPieces) {
  for (int i = 0; i < 20; ++i) write_all(shared / ("entry" + std::to_string(i)), "");
  for (const std::uint32_t room : {300u, 4096u}) {
    const auto names = list(top(), Opcode::kReaddir, room);
    EXPECT_EQ(names.size(), 24u) << "with . and ..";
  }
  const auto with_ids = list(top(), Opcode::kReaddirplus);
  EXPECT_EQ(with_ids.size(), 24u);
  EXPECT_EQ(with_ids.at("file"), look_up(top(), "file"));
  EXPECT_EQ(with_ids.at(".."), 0u);
  EXPECT_EQ(list(look_up(top(), "sub"), Opcode::kReaddir).size(), 2u);
  (void)open_file(look_up(top(), "file"), 0, Opcode::kOpendir);
  EXPECT_EQ(error, fuse::kEnotdir);
}

// --- attributes with names ---

TEST_F(FuseFilesTest, KeepsAttributesOfUsersAndNoOthers) {
  const std::uint64_t file = look_up(top(), "file");
  const auto set = [&](std::string_view name, std::string_view value) {
    FuseBody body;
    body.u32(static_cast<std::uint32_t>(value.size())).u32(0).u32(0).u32(0);
    body.name(name).bytes(value);
    return ask(Opcode::kSetxattr, file, body).error;
  };
  const auto get = [&](std::string_view name, std::uint32_t size) {
    return ask(Opcode::kGetxattr, file, FuseBody().u32(size).u32(0).name(name));
  };
  if (set("user.note", "text") == fuse::kEopnotsupp) GTEST_SKIP() << "no attributes here";
  EXPECT_EQ(get("user.note", 100).text(), "text");
  EXPECT_EQ(get("user.note", 0).fields().u32(), 4u);
  EXPECT_EQ(get("user.note", 2).error, fuse::kErange);
  EXPECT_EQ(get("user.other", 100).error, fuse::kEnodata);
  for (const char* name : {"trusted.overlay.opaque", "security.selinux", "security.ima", "user.",
                           "system.posix_acl_other", ""}) {
    EXPECT_EQ(set(name, "x"), fuse::kEopnotsupp) << name;
    EXPECT_EQ(get(name, 100).error, fuse::kEopnotsupp) << name;
    EXPECT_EQ(ask(Opcode::kRemovexattr, file, FuseBody().name(name)).error, fuse::kEopnotsupp);
  }
  const auto list_of = [&](std::uint32_t size) {
    return ask(Opcode::kListxattr, file, FuseBody().u32(size).u32(0));
  };
  EXPECT_EQ(list_of(100).text(), std::string("user.note\0", 10));
  EXPECT_EQ(list_of(0).fields().u32(), 10u);
  EXPECT_EQ(list_of(5).error, fuse::kErange);
  EXPECT_EQ(ask(Opcode::kRemovexattr, file, FuseBody().name("user.note")).error, 0);
  FuseBody cut;
  cut.u32(5000).u32(0).u32(0).u32(0).name("user.note").bytes("short");
  EXPECT_EQ(ask(Opcode::kSetxattr, file, cut).error, fuse::kEinval);
}

TEST_F(FuseFilesTest, TheFolderOfTheSharesHasNoAttributes) {
  const FuseBody body = FuseBody().u32(100).u32(0).name("system.posix_acl_access");
  EXPECT_EQ(ask(Opcode::kGetxattr, fuse::kRootId, body).error, fuse::kEnodata);
}

// --- owners ---

class OwnersTest : public FuseFilesTest {
 protected:
  void SetUp() override {
    if (!platform::acts_for_all_users()) GTEST_SKIP() << "needs to run as root";
  }
};

TEST_F(OwnersTest, WhatAUserMakesIsThatUsers) {
  const FuseCaller user{1234, 5678};
  EXPECT_EQ(ask(Opcode::kMkdir, top(), FuseBody().u32(0755).u32(0).name("dir"), user).error, 0);
  EXPECT_EQ(ask(Opcode::kCreate, top(), create_body("new", 2, 0600), user).error, 0);
  EXPECT_EQ(ask(Opcode::kSymlink, top(), FuseBody().name("link").name("x"), user).error, 0);
  FuseBody device;
  device.u32(0020600).u32(0x103).u32(0).u32(0).name("null");
  EXPECT_EQ(ask(Opcode::kMknod, top(), device, user).error, 0);
  for (const char* name : {"dir", "new", "link", "null"}) {
    const Attributes of = attributes(look_up(top(), name));
    EXPECT_EQ(of.uid, 1234u) << name;
    EXPECT_EQ(of.gid, 5678u) << name;
  }
  EXPECT_EQ(attributes(look_up(top(), "null")).special, 0x103u);
  EXPECT_EQ(ask(Opcode::kMkdir, top(), FuseBody().u32(0755).u32(0).name("roots")).error, 0);
  EXPECT_EQ(attributes(look_up(top(), "roots")).uid, 0u) << "the thread is itself again";
  EXPECT_EQ(ask(Opcode::kSetattr, look_up(top(), "new"),
                set_body(fuse::kSetUid | fuse::kSetGid, 0, 0, 7, 8))
                .error,
            0);
  EXPECT_EQ(attributes(look_up(top(), "new")).uid, 7u);
}

TEST_F(OwnersTest, WritingTakesSetidAwayWhereTheGuestAsks) {
  const std::uint64_t file = look_up(top(), "file");
  const auto mode = [&] { return attributes(file).mode & 07777; };
  EXPECT_EQ(ask(Opcode::kSetattr, file, set_body(fuse::kSetMode, 0, 06755)).error, 0);
  const std::uint64_t handle = open_file(file, 2);
  EXPECT_EQ(write(file, handle, 0, "x").error, 0);
  EXPECT_EQ(mode(), 06755u) << "root of the guest keeps them";
  EXPECT_EQ(write(file, handle, 0, "x", fuse::kWriteKillSetid).error, 0);
  EXPECT_EQ(mode(), 0755u);
  EXPECT_EQ(ask(Opcode::kSetattr, file, set_body(fuse::kSetMode, 0, 04755)).error, 0);
  EXPECT_EQ(ask(Opcode::kSetattr, file, set_body(fuse::kSetSize | fuse::kSetKillSetid, 1, 0)).error,
            0);
  EXPECT_EQ(mode(), 0755u);
  EXPECT_EQ(ask(Opcode::kSetattr, file, set_body(fuse::kSetMode, 0, 04755)).error, 0);
  EXPECT_EQ(write(file, handle, 0, "x").error, 0);
  EXPECT_EQ(mode(), 04755u) << "the thread has its right again";
}

}  // namespace
}  // namespace runhv::devices
