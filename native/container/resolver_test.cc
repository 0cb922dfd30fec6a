#include "container/resolver.h"

#include <sys/socket.h>

#include <array>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "gtest/gtest.h"
#include "runhv_agent.h"

namespace runhv::container {
namespace {

// The resolver's end of what the guest is connected to.
class ResolverTest : public ::testing::Test {
 protected:
  ResolverTest() {
    loop_ = *platform::EventLoop::create();
    resolver_ = *Resolver::create(
        *loop_, [this](bool datagrams) { return connect(datagrams); },
        [this](devices::VsockConnectionId id) { woken_ = id; });
  }

  Result<platform::Stream> connect(bool datagrams) {
    if (refuses_) return Fail{Error{Code::kHostFailed, "connect", "no"}};
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, datagrams ? SOCK_DGRAM : SOCK_STREAM, 0, ends.data()), 0);
    theirs_.reset(ends[1]);
    return platform::Stream::adopt_owned(platform::UniqueHandle(ends[0]), true);
  }

  void say(const std::string& bytes) {
    ASSERT_EQ(::send(static_cast<int>(theirs_.get()), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
  }
  // "" where there is nothing.
  std::string hear() {
    std::array<char, 8192> bytes;
    const ssize_t size =
        ::recv(static_cast<int>(theirs_.get()), bytes.data(), bytes.size(), MSG_DONTWAIT);
    return size < 0 ? "" : std::string(bytes.data(), static_cast<std::size_t>(size));
  }
  void turn() { ASSERT_TRUE(loop_->run_once(0)); }

  static std::string frame(const std::string& datagram) {
    std::string bytes(2, '\0');
    bytes[0] = static_cast<char>(datagram.size() & 0xff);
    bytes[1] = static_cast<char>(datagram.size() >> 8);
    return bytes + datagram;
  }
  static std::size_t give(devices::VsockEndpoint& endpoint, const std::string& bytes) {
    return endpoint.receive(std::as_bytes(std::span(bytes)));
  }
  static std::string take(devices::VsockEndpoint& endpoint, std::size_t room = 8192) {
    std::string bytes(room, '\0');
    bytes.resize(endpoint.send(std::as_writable_bytes(std::span(bytes))));
    return bytes;
  }

  bool refuses_ = false;
  platform::UniqueHandle theirs_;  // of the last socket
  std::optional<devices::VsockConnectionId> woken_;
  std::unique_ptr<platform::EventLoop> loop_;
  std::unique_ptr<Resolver> resolver_;
};

TEST_F(ResolverTest, PassesDatagramsOnWholeHoweverTheyCome) {
  const auto guest = resolver_->accept_datagrams(7);
  ASSERT_NE(guest, nullptr);
  EXPECT_EQ(resolver_->accept_datagrams(8), nullptr) << "one is enough";
  const std::string both = frame("first") + frame("second");
  for (const char byte : both.substr(0, 9)) EXPECT_EQ(give(*guest, std::string(1, byte)), 1u);
  EXPECT_EQ(hear(), "first");
  EXPECT_EQ(hear(), "");
  EXPECT_EQ(give(*guest, both.substr(9)), both.size() - 9);
  EXPECT_EQ(hear(), "second");
}

TEST_F(ResolverTest, AnswersWakeTheGuestAndComeInPieces) {
  const auto guest = resolver_->accept_datagrams(7);
  EXPECT_EQ(take(*guest), "");
  say("answer");
  turn();
  EXPECT_EQ(woken_, 7u);
  std::string taken;
  for (std::string piece = take(*guest, 3); !piece.empty(); piece = take(*guest, 3)) taken += piece;
  EXPECT_EQ(taken, frame("answer"));
}

TEST_F(ResolverTest, WhatIsNoDatagramEndsTheConnection) {
  const auto guest = resolver_->accept_datagrams(7);
  const std::string largest(RUNHV_MAX_RESOLVER_DATAGRAM, 'x');
  give(*guest, frame(largest));
  EXPECT_EQ(hear(), largest);
  EXPECT_FALSE(guest->closed());
  const std::string wrong = frame(largest + "x") + frame("after");
  EXPECT_EQ(give(*guest, wrong), wrong.size()) << "the guest is not left waiting";
  EXPECT_TRUE(guest->closed());
  EXPECT_EQ(hear(), "");
}

TEST_F(ResolverTest, AnEmptyDatagramIsNone) {
  const auto guest = resolver_->accept_datagrams(7);
  give(*guest, frame(""));
  EXPECT_TRUE(guest->closed());
}

TEST_F(ResolverTest, AStreamGoesBothWaysAndEndsWithTheHosts) {
  const auto guest = resolver_->accept_stream(9);
  ASSERT_NE(guest, nullptr);
  EXPECT_EQ(give(*guest, "query"), 0u) << "it waits for its socket";
  turn();
  EXPECT_EQ(woken_, 9u);
  EXPECT_EQ(give(*guest, "query"), 5u);
  EXPECT_EQ(hear(), "query");
  say("answer");
  EXPECT_EQ(take(*guest), "answer");
  theirs_.reset();
  EXPECT_EQ(take(*guest), "");
  EXPECT_TRUE(guest->send_finished());
}

TEST_F(ResolverTest, NoMoreStreamsThanThereMayBeUntilOneEnds) {
  std::vector<std::unique_ptr<devices::VsockEndpoint>> guests;
  for (std::size_t i = 0; i < Resolver::kMaxStreams; ++i) {
    guests.push_back(resolver_->accept_stream(i));
    ASSERT_NE(guests.back(), nullptr);
  }
  turn();
  EXPECT_EQ(resolver_->accept_stream(99), nullptr);
  guests.front()->on_disconnect();
  turn();
  EXPECT_NE(resolver_->accept_stream(99), nullptr);
}

TEST_F(ResolverTest, AStreamThatTheHostRefusesIsClosed) {
  refuses_ = true;
  const auto guest = resolver_->accept_stream(9);
  turn();
  EXPECT_TRUE(guest->closed());
}

}  // namespace
}  // namespace runhv::container
