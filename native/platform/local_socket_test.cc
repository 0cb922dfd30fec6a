#include "platform/local_socket.h"

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/file.h"
#include "platform/process.h"
#include "testing/files.h"
#include "testing/folder_fixture.h"

namespace runhv::platform {
namespace {

using ::testing::SizeIs;

class LocalSocketTest : public testing::FolderFixture {
 protected:
  void SetUp() override {
    FolderFixture::SetUp();
    auto loop = EventLoop::create();
    ASSERT_TRUE(loop) << to_string(loop.error());
    loop_ = *std::move(loop);
  }

  std::unique_ptr<EventLoop> loop_;
};

TEST_F(LocalSocketTest, ListensAcceptsAndTalks) {
  auto listener = LocalListener::bind(folder_, "control");
  ASSERT_TRUE(listener) << to_string(listener.error());
  ASSERT_TRUE(listener->bind(*loop_));
  std::optional<LocalConnection> accepted;
  listener->on_connection([&] {
    auto connection = listener->accept();
    ASSERT_TRUE(connection && connection->has_value());
    accepted = *std::move(connection);
    ASSERT_TRUE(accepted->bind(*loop_));
    accepted->on_readable([&] { loop_->stop(); });
  });
  EXPECT_FALSE(listener->accept()->has_value());

  auto client = LocalConnection::connect(folder_ + "/control");
  ASSERT_TRUE(client) << to_string(client.error());
  std::array<std::byte, 8> buffer{};
  EXPECT_EQ(client->read(buffer).status, IoStatus::kWouldBlock);
  EXPECT_EQ(client->write(as_bytes("hello")).bytes, 5u);
  ASSERT_TRUE(loop_->run());

  ASSERT_TRUE(accepted);
  EXPECT_EQ(accepted->read(buffer).bytes, 5u);
  EXPECT_EQ(accepted->peer().uid, current_user_id());
  EXPECT_EQ(accepted->peer().pid, current_process_id());
  EXPECT_EQ(client->peer().pid, current_process_id());
  EXPECT_TRUE(accepted->peer_is_ours());
  EXPECT_TRUE(client->peer_is_ours());
  accepted.reset();
  EXPECT_EQ(client->read(buffer).status, IoStatus::kEnd);
  EXPECT_EQ(client->write(as_bytes("x")).status, IoStatus::kEnd);
}

TEST_F(LocalSocketTest, ANameIsTakenOnceAndGoneAfterwards) {
  const std::string path = folder_ + "/control";
  {
    const auto listener = LocalListener::bind(folder_, "control");
    ASSERT_TRUE(listener);
    EXPECT_EQ(LocalListener::bind(folder_, "control").error().code, Code::kConflict);
    EXPECT_TRUE(LocalConnection::connect(path)) << "the other's name is still there";
  }
  EXPECT_FALSE(file_exists(path));
  EXPECT_EQ(LocalConnection::connect(path).error().code, Code::kNotFound);
}

// A name is there no sooner than its listener listens. Each listener stays: at its end a connection
// that is under way is refused.
TEST_F(LocalSocketTest, WhoFindsTheNameCanConnect) {
  constexpr int kNames = 200;
  std::atomic<bool> over{false};
  int refused = 0;
  std::thread peer([&] {
    for (int i = 0; i < kNames; ++i) {
      const std::string path = folder_ + "/" + std::to_string(i);
      auto connection = LocalConnection::connect(path);
      while (!connection && !over) {
        if (connection.error().detail.starts_with("nobody listens there")) ++refused;
        connection = LocalConnection::connect(path);
      }
    }
  });
  std::vector<LocalListener> listeners;
  for (int i = 0; i < kNames; ++i) {
    auto listener = LocalListener::bind(folder_, std::to_string(i));
    if (listener) listeners.push_back(*std::move(listener));
  }
  over = listeners.size() != kNames;
  peer.join();
  EXPECT_FALSE(over);
  EXPECT_EQ(refused, 0);
}

TEST_F(LocalSocketTest, AMillionBytesGoBothWaysAtOnce) {
  auto ends = LocalConnection::pair();
  ASSERT_TRUE(ends) << to_string(ends.error());
  auto& [near, far] = *ends;
  ASSERT_TRUE(near.bind(*loop_) && far.bind(*loop_));
  constexpr std::size_t kSize = 1'000'000;
  struct Side {
    LocalConnection& connection;
    std::size_t sent = 0;
    std::size_t taken = 0;
    bool in_order = true;
  };
  Side sides[2] = {{near}, {far}};
  int done = 0;
  const auto end_one = [&] {
    if (++done == 4) loop_->stop();
  };
  std::function<void(Side&)> send = [&](Side& side) {
    std::array<std::byte, 10'007> bytes;
    while (side.sent < kSize) {
      const std::size_t size = std::min(bytes.size(), kSize - side.sent);
      for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<std::byte>((side.sent + i) % 251);
      }
      const IoResult result = side.connection.write(std::span(bytes).first(size));
      if (result.status == IoStatus::kWouldBlock) {
        return side.connection.on_writable([&] { send(side); });
      }
      ASSERT_EQ(result.status, IoStatus::kDone);
      side.sent += result.bytes;
    }
    end_one();
  };
  std::function<void(Side&)> take = [&](Side& side) {
    std::array<std::byte, 4096> bytes;
    while (side.taken < kSize) {
      const IoResult result = side.connection.read(bytes);
      if (result.status == IoStatus::kWouldBlock) {
        return side.connection.on_readable([&] { take(side); });
      }
      ASSERT_EQ(result.status, IoStatus::kDone);
      for (std::size_t i = 0; i < result.bytes; ++i) {
        side.in_order = side.in_order && bytes[i] == static_cast<std::byte>((side.taken + i) % 251);
      }
      side.taken += result.bytes;
    }
    end_one();
  };
  for (Side& side : sides) {
    send(side);
    take(side);
  }
  ASSERT_TRUE(loop_->run());
  for (const Side& side : sides) EXPECT_TRUE(side.in_order);
}

TEST_F(LocalSocketTest, TheEndOfThePeerIsTold) {
  auto ends = LocalConnection::pair();
  ASSERT_TRUE(ends && ends->first.bind(*loop_));
  std::optional<LocalConnection> far(std::move(ends->second));
  ASSERT_EQ(far->write(as_bytes("last")).status, IoStatus::kDone);
  far.reset();
  std::array<std::byte, 8> buffer{};
  // What it wrote comes before.
  EXPECT_EQ(ends->first.read(buffer).bytes, 4u);
  ends->first.on_readable([&] { loop_->stop(); });
  ASSERT_TRUE(loop_->run());
  EXPECT_EQ(ends->first.read(buffer).status, IoStatus::kEnd);
}

TEST_F(LocalSocketTest, ClientsAreServedInTheirOrderWhileOthersCome) {
  auto listener = LocalListener::bind(folder_, "control");
  ASSERT_TRUE(listener && listener->bind(*loop_));
  std::vector<LocalConnection> clients;
  std::vector<std::unique_ptr<LocalConnection>> served;
  std::size_t answered = 0;
  const std::function<void()> accept_all = [&] {
    while (true) {
      auto connection = listener->accept();
      ASSERT_TRUE(connection) << to_string(connection.error());
      if (!connection->has_value()) break;
      served.push_back(std::make_unique<LocalConnection>(**std::move(connection)));
      LocalConnection& last = *served.back();
      ASSERT_TRUE(last.bind(*loop_));
      last.on_readable([&] {
        std::array<std::byte, 8> buffer{};
        EXPECT_EQ(last.read(buffer).bytes, 1u);
        if (++answered % 10 == 0) loop_->stop();
      });
    }
    listener->on_connection(accept_all);
  };
  listener->on_connection(accept_all);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 10; ++i) {
      auto client = LocalConnection::connect(folder_ + "/control");
      ASSERT_TRUE(client) << to_string(client.error());
      ASSERT_EQ(client->write(as_bytes("x")).status, IoStatus::kDone);
      clients.push_back(*std::move(client));
    }
    ASSERT_TRUE(loop_->run());
  }
  EXPECT_THAT(served, SizeIs(100));
}

TEST_F(LocalSocketTest, WhatIsNoSocketIsNotTaken) {
  ASSERT_TRUE(testing::write_file(folder_ + "/control", as_bytes("no socket")));
  EXPECT_EQ(LocalListener::bind(folder_, "control").error().code, Code::kConflict);
  EXPECT_FALSE(LocalConnection::connect(folder_ + "/control"));
  EXPECT_EQ(LocalListener::bind(folder_ + "/none", "control").error().code, Code::kNotFound);
  EXPECT_EQ(LocalConnection::connect(folder_ + "/none").error().code, Code::kNotFound);
  EXPECT_EQ(LocalConnection::connect(folder_ + "/").error().code, Code::kInvalidArgument);
}

TEST_F(LocalSocketTest, ItsHandleIsAStreamsFromThenOn) {
  auto ends = LocalConnection::pair();
  ASSERT_TRUE(ends && ends->first.bind(*loop_));
  ends->first.on_readable([] { FAIL() << "it is released"; });
  auto stream = Stream::adopt_owned(std::move(ends->first).release(), true);
  auto again = LocalConnection::adopt_owned(std::move(ends->second).release());
  ASSERT_TRUE(stream && again);
  EXPECT_TRUE(stream->ends_both_ways());
  EXPECT_EQ(again->write(as_bytes("hello")).bytes, 5u);
  ASSERT_TRUE(loop_->run_once(0));
  std::array<std::byte, 8> buffer{};
  EXPECT_EQ(stream->read(buffer).bytes, 5u);
  EXPECT_EQ(stream->write(as_bytes("back")).bytes, 4u);
  EXPECT_EQ(again->read(buffer).bytes, 4u);
}

}  // namespace
}  // namespace runhv::platform
