#include "devices/fs/fuse_server.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "testing/fuse_guest.h"
#include "testing/guest.h"

namespace runhv::devices {
namespace {

namespace fs = std::filesystem;
using fuse::Opcode;
using ::testing::Contains;
using testing::FuseBody;
using testing::FuseCaller;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

struct Attributes {
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::uint32_t mode = 0;
  std::uint32_t links = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t special = 0;
};

Attributes take_attributes(FuseArguments& in) {
  Attributes out;
  out.inode = in.u64();
  out.size = in.u64();
  in.skip(8 + 24 + 12);
  out.mode = in.u32();
  out.links = in.u32();
  out.uid = in.u32();
  out.gid = in.u32();
  out.special = in.u32();
  in.skip(8);
  return out;
}

struct Entry {
  std::uint64_t id = 0;
  Attributes attributes;
};

Entry take_entry(FuseArguments& in) {
  Entry out;
  out.id = in.u64();
  in.skip(8 + 16 + 8);
  out.attributes = take_attributes(in);
  return out;
}

struct Answer {
  int error = 0;  // of Linux
  std::vector<std::byte> body;
  FuseArguments fields() const { return FuseArguments(body); }
  std::string text() const { return {reinterpret_cast<const char*>(body.data()), body.size()}; }
};

std::string read_all(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

void write_all(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

// What an engine is told to forget the instructions of.
struct WrittenTo final : public memory::MemoryWriteObserver {
  void written(Gpa first, std::uint64_t size_bytes) override { last = {first.value, size_bytes}; }
  std::pair<std::uint64_t, std::uint64_t> last;
};

// A tree `shared` beside a file `outside/secret`, shared as "0"; read-only as "1"; one file of it,
// `shared/file`, as "2".
class FuseServerTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kLimit = 64;
  static constexpr std::size_t kRanges = 3;

  FuseServerTest() {
    base = fs::temp_directory_path() / ("runhv-fuse-" + std::to_string(std::random_device{}()));
    shared = base / "shared";
    fs::create_directories(shared / "sub");
    fs::create_directories(base / "outside");
    write_all(base / "outside/secret", "secret");
    write_all(shared / "file", "content");
    server = make_server();
    EXPECT_EQ(ask(Opcode::kInit, 0, testing::fuse_init_body()).error, 0);
  }
  ~FuseServerTest() override { fs::remove_all(base); }

  std::unique_ptr<FuseServer> make_server() const {
    std::vector<Share> shares;
    shares.push_back({open(shared), false, true});
    shares.push_back({open(shared), true, true});
    shares.push_back({open(shared / "file"), false, true});
    return std::make_unique<FuseServer>(std::move(shares), kLimit, make_window());
  }
  std::unique_ptr<FileWindow> make_window() const {
    auto window = FileWindow::create(guest_memory);
    RUNHV_CHECK(window && *window != nullptr);
    return *std::move(window);
  }
  static platform::FileNode open(const fs::path& path) {
    auto node = platform::FileNode::open(path);
    RUNHV_CHECK(node);
    return *std::move(node);
  }

  Answer ask_bytes(std::span<const std::byte> request, std::size_t room = 1 << 17) {
    std::vector<std::byte> out(room);
    // In odd pieces: a driver may split a request as it likes.
    const std::size_t cut = request.size() / 3;
    const std::array<ReadSegment, 2> in{ReadSegment{Gpa{0}, request.first(cut)},
                                        ReadSegment{Gpa{0}, request.subspan(cut)}};
    const std::array<WriteSegment, 2> to{WriteSegment{Gpa{0}, std::span(out).first(room / 2)},
                                         WriteSegment{Gpa{0}, std::span(out).subspan(room / 2)}};
    written = server->serve(in, to);
    Answer answer;
    if (written < fuse::kOutHeaderBytes) return answer;
    EXPECT_EQ(load_le<std::uint32_t>(out, 0), written);
    EXPECT_EQ(load_le<std::uint64_t>(out, 8), 77u);
    answer.error = -load_le<std::int32_t>(out, 4);
    answer.body.assign(out.begin() + fuse::kOutHeaderBytes, out.begin() + written);
    return answer;
  }
  Answer ask(Opcode opcode, std::uint64_t node, const FuseAnswer& body = FuseBody(),
             FuseCaller caller = {}) {
    return ask_bytes(testing::fuse_request(opcode, node, body.written(), caller));
  }

  // The id; 0 where it is refused, with the reason in `error`.
  std::uint64_t look_up(std::uint64_t parent, std::string_view name) {
    return entry_of(ask(Opcode::kLookup, parent, FuseBody().name(name))).id;
  }
  Entry entry_of(const Answer& answer) {
    error = answer.error;
    if (error != 0) return {};
    FuseArguments in = answer.fields();
    const Entry entry = take_entry(in);
    EXPECT_TRUE(in.ok());
    return entry;
  }
  std::uint64_t top() { return look_up(fuse::kRootId, "0"); }
  std::uint64_t read_only_top() { return look_up(fuse::kRootId, "1"); }

  std::uint64_t open_file(std::uint64_t node, std::uint32_t flags, Opcode opcode = Opcode::kOpen) {
    const Answer answer = ask(opcode, node, FuseBody().u32(flags).u32(0));
    error = answer.error;
    return error == 0 ? answer.fields().u64() : 0;
  }
  static FuseBody read_body(std::uint64_t handle, std::uint64_t offset, std::uint32_t size) {
    FuseBody body;
    body.u64(handle).u64(offset).u32(size).zeros(20);
    return body;
  }
  Answer write(std::uint64_t node, std::uint64_t handle, std::uint64_t offset,
               std::string_view text, std::uint32_t how = 0, std::uint32_t flags = 2) {
    FuseBody body;
    body.u64(handle).u64(offset).u32(static_cast<std::uint32_t>(text.size())).u32(how).u64(0);
    body.u32(flags).u32(0).bytes(text);
    return ask(Opcode::kWrite, node, body);
  }
  static FuseBody set_body(std::uint32_t what, std::uint64_t size, std::uint32_t mode,
                           std::uint32_t uid = 0, std::uint32_t gid = 0) {
    FuseBody body;
    body.u32(what).u32(0).u64(0).u64(size).u64(0).u64(1000).u64(2000).u64(0);
    body.u32(1).u32(2).u32(0).u32(mode).u32(0).u32(uid).u32(gid).u32(0);
    return body;
  }
  static FuseBody create_body(std::string_view name, std::uint32_t flags, std::uint32_t mode,
                              std::uint32_t umask = 0) {
    FuseBody body;
    body.u32(flags).u32(mode).u32(umask).u32(0).name(name);
    return body;
  }
  Attributes attributes(std::uint64_t node) {
    const Answer answer = ask(Opcode::kGetattr, node, FuseBody().zeros(16));
    error = answer.error;
    FuseArguments in = answer.fields();
    in.skip(16);
    return take_attributes(in);
  }
  std::map<std::string, std::uint64_t> list(std::uint64_t node, Opcode opcode,
                                            std::uint32_t room = 4096) {
    std::map<std::string, std::uint64_t> names;
    const std::uint64_t handle = open_file(node, 0, Opcode::kOpendir);
    for (std::uint64_t offset = 0;;) {
      const Answer answer = ask(opcode, node, read_body(handle, offset, room));
      EXPECT_EQ(answer.error, 0);
      if (answer.body.empty() || answer.error != 0) break;
      FuseArguments in = answer.fields();
      for (std::size_t left = answer.body.size(); left > 0;) {
        std::uint64_t id = 0;
        if (opcode == Opcode::kReaddirplus) {
          id = take_entry(in).id;
          left -= fuse::kEntryBytes;
        }
        in.skip(8);
        offset = in.u64();
        const std::size_t size = in.u32();
        in.skip(4);
        const std::size_t padded = (size + 7) & ~std::size_t{7};
        const auto bytes = in.bytes(padded);
        if (!in.ok()) {
          ADD_FAILURE() << "cut entry";
          return names;
        }
        names.emplace(std::string(reinterpret_cast<const char*>(bytes.data()), size), id);
        left -= 24 + padded;
      }
    }
    return names;
  }

  WrittenTo written_to;
  std::shared_ptr<memory::GuestMemory> guest_memory =
      testing::make_guest_memory(&written_to, kRanges* FileWindow::kRangeBytes);
  fs::path base;
  fs::path shared;
  std::unique_ptr<FuseServer> server;
  std::uint32_t written = 0;
  int error = 0;
};

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
  for (int i = 0; i < 3000; ++i) {
    const std::uint64_t directory = look_up(parent, "sub");
    if (directory == 0) continue;
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
  EXPECT_GT(opened, 0);
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

// --- files ---

TEST_F(FuseServerTest, ReadsAndWrites) {
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

TEST_F(FuseServerTest, AsksForAFlushOnlyWhereTheHostMayTellSomething) {
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

TEST_F(FuseServerTest, WhoCanOnlyWriteFillsNoCache) {
  const std::uint64_t file = look_up(top(), "file");
  const auto flags = [&](std::uint32_t access) {
    const Answer answer = ask(Opcode::kOpen, file, FuseBody().u32(access).u32(0));
    return load_le<std::uint32_t>(answer.body, 8) & (fuse::kOpenDirectIo | fuse::kOpenKeepCache);
  };
  EXPECT_EQ(flags(0), fuse::kOpenKeepCache);
  EXPECT_EQ(flags(1), fuse::kOpenDirectIo);
  EXPECT_EQ(flags(2), fuse::kOpenKeepCache);
}

TEST_F(FuseServerTest, RefusesAWriteWhoseSizeIsNotItsContents) {
  const std::uint64_t file = look_up(top(), "file");
  const std::uint64_t handle = open_file(file, 2);
  FuseBody body;
  body.u64(handle).u64(0).u32(100).zeros(20).bytes("short");
  EXPECT_EQ(ask(Opcode::kWrite, file, body).error, fuse::kEinval);
  EXPECT_EQ(read_all(shared / "file"), "content");
}

TEST_F(FuseServerTest, AppendsAtTheEndThatTheHostKnows) {
  const std::uint64_t file = look_up(top(), "file");
  const std::uint64_t handle = open_file(file, 1 | fuse::kOpenAppend);
  write_all(shared / "file", "the host wrote");
  EXPECT_EQ(write(file, handle, 7, "!", 0, 1 | fuse::kOpenAppend).error, 0);
  EXPECT_EQ(read_all(shared / "file"), "the host wrote!");
  EXPECT_EQ(write(file, handle, 0, "T", fuse::kWriteFromCache, 1 | fuse::kOpenAppend).error, 0);
  EXPECT_EQ(read_all(shared / "file"), "The host wrote!");
}

TEST_F(FuseServerTest, CreatesFiles) {
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

TEST_F(FuseServerTest, AnUnnamedFileGetsItsNameByALink) {
  const Answer answer = ask(Opcode::kTmpfile, top(), create_body("#1", 2, 0600));
  ASSERT_EQ(answer.error, 0);
  FuseArguments in = answer.fields();
  const Entry entry = take_entry(in);
  EXPECT_EQ(entry.attributes.links, 0u);
  EXPECT_EQ(write(entry.id, in.u64(), 0, "text").error, 0);
  EXPECT_EQ(ask(Opcode::kLink, top(), FuseBody().u64(entry.id).name("named")).error, 0);
  EXPECT_EQ(read_all(shared / "named"), "text");
}

TEST_F(FuseServerTest, MakesRenamesAndRemoves) {
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

TEST_F(FuseServerTest, ChangesAttributes) {
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

TEST_F(FuseServerTest, TellsAllOfAFile) {
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

TEST_F(FuseServerTest, HolesAreFoundMadeAndCopiedOver) {
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

TEST_F(FuseServerTest, ListsDirectoriesInAnyPieces) {
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

TEST_F(FuseServerTest, KeepsAttributesOfUsersAndNoOthers) {
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

TEST_F(FuseServerTest, TheFolderOfTheSharesHasNoAttributes) {
  const FuseBody body = FuseBody().u32(100).u32(0).name("system.posix_acl_access");
  EXPECT_EQ(ask(Opcode::kGetxattr, fuse::kRootId, body).error, fuse::kEnodata);
}

// --- the window ---

// With `large`, a file that can be shown, of one range and a little more.
class WindowTest : public FuseServerTest {
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

// --- owners ---

class OwnersTest : public FuseServerTest {
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
