#include "control/stream_copy.h"

#include <csignal>
#include <functional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "gtest/gtest.h"
#include "platform/clock.h"
#include "platform/pipe.h"
#include "platform/thread.h"

namespace runhv::control {
namespace {

using platform::IoStatus;
using platform::Stream;

class StreamCopyTest : public ::testing::Test {
 protected:
  void SetUp() override {
#ifdef SIGPIPE  // of Linux; programs have it so by platform/signals.h
    std::signal(SIGPIPE, SIG_IGN);
#endif
    auto loop = platform::EventLoop::create();
    auto from = platform::make_pipe();
    auto to = platform::make_pipe();
    ASSERT_TRUE(loop && from && to);
    loop_ = *std::move(loop);
    auto copy = StreamCopy::begin(*loop_, *Stream::adopt_owned(std::move(from->reader), true),
                                  *Stream::adopt_owned(std::move(to->writer), false));
    ASSERT_TRUE(copy) << to_string(copy.error());
    copy_ = *std::move(copy);
    writer_.emplace(*Stream::adopt_owned(std::move(from->writer), false));
    reader_.emplace(*Stream::adopt_owned(std::move(to->reader), true));
    ASSERT_TRUE(writer_->bind(*loop_) && reader_->bind(*loop_));
  }

  void write_all(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto written = writer_->write(bytes);
      if (written.status == IoStatus::kDone) {
        bytes = bytes.subspan(written.bytes);
        continue;
      }
      ASSERT_EQ(written.status, IoStatus::kWouldBlock);
      return writer_->on_writable([this, bytes] { write_all(bytes); });
    }
    writer_.reset();
  }
  void read_all() {
    std::vector<std::byte> part(100'000);
    while (true) {
      const auto read = reader_->read(part);
      if (read.status == IoStatus::kWouldBlock) {
        return reader_->on_readable([this] { read_all(); });
      }
      if (read.status != IoStatus::kDone) return reader_.reset();
      got_.insert(got_.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(read.bytes));
    }
  }
  template <class Condition>
  void wait_until(Condition condition) {
    const std::uint64_t deadline_ns = platform::monotonic_ns() + 60'000'000'000;
    while (!condition()) {
      ASSERT_LT(platform::monotonic_ns(), deadline_ns);
      ASSERT_TRUE(loop_->run_once(deadline_ns));
    }
  }

  std::unique_ptr<platform::EventLoop> loop_;
  std::unique_ptr<StreamCopy> copy_;
  std::optional<Stream> writer_, reader_;
  std::vector<std::byte> got_;
};

TEST_F(StreamCopyTest, CarriesEveryByteAndTheEnd) {
  std::vector<std::byte> bytes(4 << 20);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 251);
  write_all(bytes);
  read_all();
  wait_until([this] { return !reader_.has_value(); });
  EXPECT_TRUE(got_ == bytes) << got_.size();
  EXPECT_TRUE(copy_->has_ended());
  EXPECT_FALSE(copy_->failure());
}

TEST_F(StreamCopyTest, AReaderThatHasGoneEndsTheWriter) {
  reader_.reset();
  bool gone = false;
  const std::function<void()> write = [&] {
    auto written = writer_->write(as_bytes(std::string_view("x")));
    while (written.status == IoStatus::kDone) {
      if (copy_->has_ended()) break;
      RUNHV_CHECK(loop_->run_once(platform::monotonic_ns()));
      written = writer_->write(as_bytes(std::string_view("x")));
    }
    gone = written.status == IoStatus::kEnd;
  };
  wait_until([&] {
    write();
    return gone;
  });
  EXPECT_TRUE(copy_->has_ended());
  EXPECT_FALSE(copy_->failure()) << "it did not want them";
}

}  // namespace
}  // namespace runhv::control
