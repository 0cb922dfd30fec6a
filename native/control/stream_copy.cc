#include "control/stream_copy.h"

#include <utility>

#include "platform/os_error.h"

namespace runhv::control {
namespace {

// Then others have theirs.
constexpr int kBuffersATurn = 16;

}  // namespace

StreamCopy::StreamCopy(platform::EventLoop& loop, platform::Stream from, platform::Stream to)
    : from_(std::move(from)), to_(std::move(to)), turn_(loop, [this] { go_on(); }) {}

Result<std::unique_ptr<StreamCopy>> StreamCopy::begin(platform::EventLoop& loop,
                                                      platform::Stream from, platform::Stream to) {
  RUNHV_TRY(from.bind(loop));
  RUNHV_TRY(to.bind(loop));
  std::unique_ptr<StreamCopy> copy(new StreamCopy(loop, std::move(from), std::move(to)));
  copy->turn_.set(0);
  return copy;
}

void StreamCopy::go_on() {
  for (int buffers = 0;;) {
    if (rest_.empty()) {
      if (buffers++ == kBuffersATurn) return turn_.set(0);
      const platform::IoResult read = from_->read(buffer_);
      if (read.status == platform::IoStatus::kWouldBlock) {
        return from_->on_readable([this] { go_on(); });
      }
      if (read.status == platform::IoStatus::kFailed) {
        failure_ = platform::os_error("read a stream", read.os_code);
      }
      if (read.status != platform::IoStatus::kDone) return flush();
      rest_ = std::span(buffer_).first(read.bytes);
    }
    const platform::IoResult written = to_->write(rest_);
    if (written.status == platform::IoStatus::kWouldBlock) {
      return to_->on_writable([this] { go_on(); });
    }
    if (written.status == platform::IoStatus::kFailed) {
      failure_ = platform::os_error("write a stream", written.os_code);
    }
    if (written.status != platform::IoStatus::kDone) return end();
    rest_ = rest_.subspan(written.bytes);
  }
}

void StreamCopy::flush() {
  const platform::IoResult flushed = to_->flush();
  if (flushed.status == platform::IoStatus::kWouldBlock) {
    return to_->on_flushed([this] { flush(); });
  }
  if (flushed.status == platform::IoStatus::kFailed) {
    failure_ = platform::os_error("write a stream", flushed.os_code);
  }
  end();
}

void StreamCopy::end() {
  from_.reset();
  to_.reset();
  ended_ = true;
}

}  // namespace runhv::control
