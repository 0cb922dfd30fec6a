// The guest's half of FUSE before a server that has shares and a window.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "devices/fs/fuse_server.h"
#include "testing/fuse_guest.h"
#include "testing/guest.h"

namespace runhv::testing {

// What an engine is told to forget the instructions of.
struct WrittenTo final : public memory::MemoryWriteObserver {
  void written(Gpa first, std::uint64_t size_bytes) override { last = {first.value, size_bytes}; }
  std::pair<std::uint64_t, std::uint64_t> last;
};

// A tree `shared` beside a file `outside/secret`, shared as "0"; read-only as "1"; one file of it,
// `shared/file`, as "2".
class FuseFixture : public ::testing::Test {
 protected:
  struct Attributes {
    std::uint64_t inode = 0;
    std::uint64_t size = 0;
    std::uint32_t mode = 0;
    std::uint32_t links = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint32_t special = 0;
  };

  static Attributes take_attributes(devices::FuseArguments& in) {
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

  static Entry take_entry(devices::FuseArguments& in) {
    Entry out;
    out.id = in.u64();
    in.skip(8 + 16 + 8);
    out.attributes = take_attributes(in);
    return out;
  }

  struct Answer {
    int error = 0;  // of Linux
    std::vector<std::byte> body;
    devices::FuseArguments fields() const { return devices::FuseArguments(body); }
    std::string text() const { return {reinterpret_cast<const char*>(body.data()), body.size()}; }
  };

  static std::string read_all(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }

  static void write_all(const std::filesystem::path& path, std::string_view text) {
    std::ofstream(path, std::ios::binary) << text;
  }

  static constexpr std::size_t kLimit = 64;
  static constexpr std::size_t kRanges = 3;

  FuseFixture() {
    base = std::filesystem::temp_directory_path() /
           ("runhv-fuse-" + std::to_string(std::random_device{}()));
    shared = base / "shared";
    std::filesystem::create_directories(shared / "sub");
    std::filesystem::create_directories(base / "outside");
    write_all(base / "outside/secret", "secret");
    write_all(shared / "file", "content");
    server = make_server();
    EXPECT_EQ(ask(devices::fuse::Opcode::kInit, 0, fuse_init_body()).error, 0);
  }
  ~FuseFixture() override { std::filesystem::remove_all(base); }

  std::unique_ptr<devices::FuseServer> make_server() const {
    std::vector<devices::Share> shares;
    shares.push_back({open(shared), false, true});
    shares.push_back({open(shared), true, true});
    shares.push_back({open(shared / "file"), false, true});
    return std::make_unique<devices::FuseServer>(std::move(shares), kLimit, make_window());
  }
  std::unique_ptr<devices::FileWindow> make_window() const {
    auto window = devices::FileWindow::create(guest_memory);
    RUNHV_CHECK(window && *window != nullptr);
    return *std::move(window);
  }
  static platform::FileNode open(const std::filesystem::path& path) {
    auto node = platform::FileNode::open(path);
    RUNHV_CHECK(node);
    return *std::move(node);
  }

  Answer ask_bytes(std::span<const std::byte> request, std::size_t room = 1 << 17) {
    std::vector<std::byte> out(room);
    // In odd pieces: a driver may split a request as it likes.
    const std::size_t cut = request.size() / 3;
    const std::array<devices::ReadSegment, 2> in{
        devices::ReadSegment{Gpa{0}, request.first(cut)},
        devices::ReadSegment{Gpa{0}, request.subspan(cut)}};
    const std::array<devices::WriteSegment, 2> to{
        devices::WriteSegment{Gpa{0}, std::span(out).first(room / 2)},
        devices::WriteSegment{Gpa{0}, std::span(out).subspan(room / 2)}};
    written = server->serve(in, to);
    Answer answer;
    if (written < devices::fuse::kOutHeaderBytes) return answer;
    EXPECT_EQ(load_le<std::uint32_t>(out, 0), written);
    EXPECT_EQ(load_le<std::uint64_t>(out, 8), 77u);
    answer.error = -load_le<std::int32_t>(out, 4);
    answer.body.assign(out.begin() + devices::fuse::kOutHeaderBytes, out.begin() + written);
    return answer;
  }
  Answer ask(devices::fuse::Opcode opcode, std::uint64_t node,
             const devices::FuseAnswer& body = FuseBody(), FuseCaller caller = {}) {
    return ask_bytes(fuse_request(opcode, node, body.written(), caller));
  }

  // The id; 0 where it is refused, with the reason in `error`.
  std::uint64_t look_up(std::uint64_t parent, std::string_view name) {
    return entry_of(ask(devices::fuse::Opcode::kLookup, parent, FuseBody().name(name))).id;
  }
  Entry entry_of(const Answer& answer) {
    error = answer.error;
    if (error != 0) return {};
    devices::FuseArguments in = answer.fields();
    const Entry entry = take_entry(in);
    EXPECT_TRUE(in.ok());
    return entry;
  }
  std::uint64_t top() { return look_up(devices::fuse::kRootId, "0"); }
  std::uint64_t read_only_top() { return look_up(devices::fuse::kRootId, "1"); }

  std::uint64_t open_file(std::uint64_t node, std::uint32_t flags,
                          devices::fuse::Opcode opcode = devices::fuse::Opcode::kOpen) {
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
    return ask(devices::fuse::Opcode::kWrite, node, body);
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
    const Answer answer = ask(devices::fuse::Opcode::kGetattr, node, FuseBody().zeros(16));
    error = answer.error;
    devices::FuseArguments in = answer.fields();
    in.skip(16);
    return take_attributes(in);
  }
  std::map<std::string, std::uint64_t> list(std::uint64_t node, devices::fuse::Opcode opcode,
                                            std::uint32_t room = 4096) {
    std::map<std::string, std::uint64_t> names;
    const std::uint64_t handle = open_file(node, 0, devices::fuse::Opcode::kOpendir);
    for (std::uint64_t offset = 0;;) {
      const Answer answer = ask(opcode, node, read_body(handle, offset, room));
      EXPECT_EQ(answer.error, 0);
      if (answer.body.empty() || answer.error != 0) break;
      devices::FuseArguments in = answer.fields();
      for (std::size_t left = answer.body.size(); left > 0;) {
        std::uint64_t id = 0;
        if (opcode == devices::fuse::Opcode::kReaddirplus) {
          id = take_entry(in).id;
          left -= devices::fuse::kEntryBytes;
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
      make_guest_memory(&written_to, kRanges* devices::FileWindow::kRangeBytes);
  std::filesystem::path base;
  std::filesystem::path shared;
  std::unique_ptr<devices::FuseServer> server;
  std::uint32_t written = 0;
  int error = 0;
};

}  // namespace runhv::testing
