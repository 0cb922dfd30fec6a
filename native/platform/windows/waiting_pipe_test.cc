#include "platform/windows/waiting_pipe.h"

#include <array>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "gtest/gtest.h"
#include "platform/local_socket.h"
#include "platform/pipe.h"

namespace runhv::platform {
namespace {

struct Ends {
  std::unique_ptr<WaitingPipe> ours, theirs;
};

Ends make_ends() {
  auto pair = LocalConnection::pair();
  EXPECT_TRUE(pair) << to_string(pair.error());
  return {*WaitingPipe::adopt_owned(std::move(pair->first).release()),
          *WaitingPipe::adopt_owned(std::move(pair->second).release())};
}

TEST(WaitingPipeTest, AReadWaitsAndHoldsUpNoWrite) {
  Ends ends = make_ends();
  std::array<std::byte, 16> read{};
  IoResult came{};
  std::thread reader([&] { came = ends.ours->read(read); });
  // While it waits, or before.
  EXPECT_EQ(ends.ours->write(as_bytes("there")).bytes, 5u);
  std::array<std::byte, 16> other{};
  EXPECT_EQ(ends.theirs->read(other).bytes, 5u);
  EXPECT_EQ(ends.theirs->write(as_bytes("back")).status, IoStatus::kDone);
  reader.join();
  EXPECT_EQ(came.status, IoStatus::kDone);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(read.data()), came.bytes), "back");
}

TEST(WaitingPipeTest, AWriteWaitsUntilAllIsTaken) {
  Ends ends = make_ends();
  const std::vector<std::byte> much(1 << 20, std::byte{7});
  std::size_t came = 0;
  std::thread reader([&] {
    std::vector<std::byte> part(100'000);
    for (IoResult result = ends.theirs->read(part); result.status == IoStatus::kDone;
         result = ends.theirs->read(part)) {
      came += result.bytes;
    }
  });
  EXPECT_EQ(ends.ours->write(much).bytes, much.size());
  // What is in the pipe is read after its end.
  ends.ours.reset();
  reader.join();
  EXPECT_EQ(came, much.size());
}

TEST(WaitingPipeTest, CloseEndsWhoWaits) {
  Ends ends = make_ends();
  IoResult read{}, written{};
  std::thread reader([&] {
    std::array<std::byte, 1> out{};
    read = ends.ours->read(out);
  });
  std::thread writer([&] { written = ends.ours->write(std::vector<std::byte>(10 << 20)); });
  ends.ours->close();
  reader.join();
  writer.join();
  EXPECT_EQ(read.status, IoStatus::kEnd);
  EXPECT_EQ(written.status, IoStatus::kEnd);
  EXPECT_EQ(ends.ours->write(as_bytes("x")).status, IoStatus::kEnd);
}

TEST(WaitingPipeTest, TheEndOfTheOtherSideIsTheEnd) {
  Ends ends = make_ends();
  ends.theirs.reset();
  std::array<std::byte, 1> out{};
  EXPECT_EQ(ends.ours->read(out).status, IoStatus::kEnd);
  EXPECT_EQ(ends.ours->write(as_bytes("x")).status, IoStatus::kEnd);
}

TEST(WaitingPipeTest, TakesNothingElse) {
  EXPECT_EQ(WaitingPipe::adopt(kInvalidHandle).error().code, Code::kInvalidArgument);
  HANDLE reader = nullptr;
  HANDLE writer = nullptr;
  ASSERT_TRUE(::CreatePipe(&reader, &writer, nullptr, 0));
  const UniqueHandle in = own(reader);
  const UniqueHandle out = own(writer);
  EXPECT_EQ(WaitingPipe::adopt(in.get()).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace runhv::platform
