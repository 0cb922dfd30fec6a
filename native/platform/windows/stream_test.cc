#include "platform/stream.h"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/lossy_writer.h"
#include "platform/pipe.h"
#include "platform/windows/system.h"
#include "platform/windows/utf16.h"
#include "testing/files.h"
#include "testing/folder_fixture.h"

namespace runhv::platform {
namespace {

using ::testing::HasSubstr;

// As a shell makes them for a process: neither end is overlapped.
struct ShellPipe {
  ShellPipe() {
    HANDLE ends[2]{};
    EXPECT_TRUE(::CreatePipe(&ends[0], &ends[1], nullptr, 4096));
    reader = own(ends[0]);
    writer = own(ends[1]);
  }
  UniqueHandle reader, writer;
};

class StreamTest : public testing::FolderFixture {
 protected:
  void SetUp() override {
    FolderFixture::SetUp();
    auto loop = EventLoop::create();
    ASSERT_TRUE(loop) << to_string(loop.error());
    loop_ = *std::move(loop);
  }
  Stream bound(UniqueHandle handle, bool for_reading) {
    auto stream = Stream::adopt_owned(std::move(handle), for_reading);
    EXPECT_TRUE(stream && stream->bind(*loop_));
    return *std::move(stream);
  }
  UniqueHandle file(const std::string& name, DWORD access, DWORD how) {
    return own(::CreateFileW(to_utf16(folder_ + "/" + name).c_str(), access, FILE_SHARE_READ,
                             nullptr, how, 0, nullptr));
  }

  std::unique_ptr<EventLoop> loop_;
};

std::vector<std::byte> numbered_bytes(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i % 251);
  return bytes;
}

// Everything that a stream gives, until its end.
class Drain {
 public:
  Drain(Stream& stream, Handler at_end) : stream_(stream), at_end_(std::move(at_end)) {}
  void go_on() {
    std::array<std::byte, 5000> part;
    while (true) {
      const IoResult result = stream_.read(part);
      if (result.status == IoStatus::kWouldBlock) {
        return stream_.on_readable([this] { go_on(); });
      }
      if (result.status != IoStatus::kDone) {
        end = result.status;
        return at_end_();
      }
      bytes.insert(bytes.end(), part.begin(),
                   part.begin() + static_cast<std::ptrdiff_t>(result.bytes));
    }
  }
  std::vector<std::byte> bytes;
  IoStatus end = IoStatus::kDone;

 private:
  Stream& stream_;
  Handler at_end_;
};

class Pump {
 public:
  Pump(Stream& stream, std::span<const std::byte> bytes, Handler at_end)
      : stream_(stream), rest_(bytes), at_end_(std::move(at_end)) {}
  void go_on() {
    while (!rest_.empty()) {
      const IoResult result = stream_.write(rest_.first(std::min<std::size_t>(rest_.size(), 9999)));
      if (result.status == IoStatus::kWouldBlock) {
        return stream_.on_writable([this] { go_on(); });
      }
      ASSERT_EQ(result.status, IoStatus::kDone);
      rest_ = rest_.subspan(result.bytes);
    }
    stream_.on_flushed([this] { at_end_(); });
  }

 private:
  Stream& stream_;
  std::span<const std::byte> rest_;
  Handler at_end_;
};

TEST_F(StreamTest, APipeCarriesEveryByteAndItsEnd) {
  ShellPipe pipe;
  Stream in = bound(std::move(pipe.reader), true);
  auto out = std::make_unique<Stream>(bound(std::move(pipe.writer), false));
  const std::vector<std::byte> bytes = numbered_bytes(1'000'000);
  Drain drain(in, [&] { loop_->stop(); });
  Pump pump(*out, bytes, [&] { loop_->post([&] { out.reset(); }); });
  pump.go_on();
  drain.go_on();
  ASSERT_TRUE(loop_->run());
  EXPECT_EQ(drain.end, IoStatus::kEnd);
  EXPECT_TRUE(drain.bytes == bytes);
}

TEST_F(StreamTest, AReaderThatHasGoneIsTheEnd) {
  ShellPipe pipe;
  Stream out = bound(std::move(pipe.writer), false);
  pipe.reader.reset();
  EXPECT_EQ(out.write(as_bytes("x")).status, IoStatus::kDone);
  out.on_flushed([&] { loop_->stop(); });
  ASSERT_TRUE(loop_->run());
  EXPECT_EQ(out.write(as_bytes("x")).status, IoStatus::kEnd);
  EXPECT_TRUE(out.close(UINT64_MAX)) << "a reader that has gone did not want them";
}

TEST_F(StreamTest, AWriterThatNobodyReadsHoldsNobodyUp) {
  ShellPipe pipe;
  Stream out = bound(std::move(pipe.writer), false);
  const std::vector<std::byte> bytes = numbered_bytes(1'000'000);
  std::size_t taken = 0;
  while (true) {
    const IoResult result = out.write(std::span(bytes).subspan(taken));
    if (result.status != IoStatus::kDone) {
      ASSERT_EQ(result.status, IoStatus::kWouldBlock);
      break;
    }
    taken += result.bytes;
  }
  EXPECT_GE(taken, Stream::kFilePendingBytes);
  const auto closed = out.close(monotonic_ns() + 1'000'000);
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().code, Code::kTimedOut);
}

TEST_F(StreamTest, AFileGetsEveryByteWhereItsPositionIs) {
  const std::vector<std::byte> bytes = numbered_bytes(1'000'000);
  UniqueHandle handle = file("out", GENERIC_WRITE, CREATE_NEW);
  DWORD count = 0;
  ASSERT_TRUE(::WriteFile(native(handle), "head", 4, &count, nullptr));
  Stream out = bound(std::move(handle), false);
  Pump pump(out, bytes, [&] { loop_->stop(); });
  pump.go_on();
  ASSERT_TRUE(loop_->run());
  ASSERT_TRUE(out.close(UINT64_MAX));
  const auto written = read_file(folder_ + "/out", 4'000'000);
  ASSERT_TRUE(written);
  ASSERT_EQ(written->size(), 4 + bytes.size());
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), written->begin() + 4));
  EXPECT_EQ(out.write(bytes).status, IoStatus::kFailed) << "it is closed";
}

TEST_F(StreamTest, AFileIsReadToItsEnd) {
  const std::vector<std::byte> bytes = numbered_bytes(300'000);
  ASSERT_TRUE(testing::write_file(folder_ + "/in", bytes));
  Stream in = bound(file("in", GENERIC_READ, OPEN_EXISTING), true);
  Drain drain(in, [&] { loop_->stop(); });
  drain.go_on();
  ASSERT_TRUE(loop_->run());
  EXPECT_EQ(drain.end, IoStatus::kEnd);
  EXPECT_TRUE(drain.bytes == bytes);
}

TEST_F(StreamTest, WhatIsAdoptedStaysTheCallers) {
  ShellPipe pipe;
  {
    const auto out = Stream::adopt(pipe.writer.get(), false);
    ASSERT_TRUE(out);
  }
  DWORD count = 0;
  EXPECT_TRUE(::WriteFile(native(pipe.writer), "x", 1, &count, nullptr));
  EXPECT_FALSE(Stream::adopt(0x7ffffff0, false));
}

std::string read_some(const UniqueHandle& reader) {
  std::string text(1 << 16, '\0');
  DWORD count = 0;
  ::ReadFile(native(reader), text.data(), static_cast<DWORD>(text.size()), &count, nullptr);
  text.resize(count);
  return text;
}

// As long as its bytes would go with this process, it is not flushed.
TEST_F(StreamTest, AnOverlappedPipeIsFlushedOnceItsBytesAreInThePipe) {
  auto pipe = make_pipe();
  ASSERT_TRUE(pipe);
  auto writer = bound(std::move(pipe->writer), false);
  auto reader = bound(std::move(pipe->reader), true);
  EXPECT_EQ(writer.flush().status, IoStatus::kDone);
  const auto bytes = numbered_bytes(1 << 20);
  std::size_t taken = 0;
  for (IoResult result{IoStatus::kDone}; result.status == IoStatus::kDone; taken += result.bytes) {
    result = writer.write(std::span(bytes).subspan(taken));
  }
  ASSERT_LT(taken, bytes.size());
  EXPECT_EQ(writer.flush().status, IoStatus::kWouldBlock);
  bool flushed = false;
  writer.on_flushed([&] { flushed = true; });
  std::vector<std::byte> got(taken);
  std::size_t count = 0;
  while (!flushed) {
    const IoResult result = reader.read(std::span(got).subspan(count));
    if (result.status == IoStatus::kDone) count += result.bytes;
    ASSERT_TRUE(loop_->run_once(0));
  }
  EXPECT_EQ(writer.flush().status, IoStatus::kDone);
  while (count < taken) {
    const IoResult result = reader.read(std::span(got).subspan(count));
    ASSERT_NE(result.status, IoStatus::kFailed);
    count += result.bytes;
  }
  EXPECT_TRUE(std::equal(got.begin(), got.end(), bytes.begin()));
}

TEST(LossyWriter, WhatIsWrittenWithPatienceIsWithTheReader) {
  ShellPipe pipe;
  LossyWriter writer(*Stream::adopt(pipe.writer.get(), false));
  writer.write("first\n");
  writer.write("second\n", 60'000'000'000);
  std::string text = read_some(pipe.reader);
  while (text.find("second") == std::string::npos) text += read_some(pipe.reader);
  EXPECT_EQ(text, "first\nsecond\n");
}

TEST(LossyWriter, NeverWaitsForAReader) {
  ShellPipe pipe;
  LossyWriter writer(*Stream::adopt(pipe.writer.get(), false));
  const std::string line = std::string(4095, 'x') + "\n";
  for (int i = 0; i < 1000; ++i) writer.write(line);
  std::string text;
  while (text.size() < Stream::kFilePendingBytes) text += read_some(pipe.reader);
  EXPECT_EQ(text.find_first_not_of("x\n"), std::string::npos);
}

}  // namespace
}  // namespace runhv::platform
