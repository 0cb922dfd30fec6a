#include "platform/windows/child_streams.h"

#include <utility>

#include "base/bytes.h"
#include "platform/windows/system.h"

namespace runhv::platform {

bool ChildPipe::open() {
  HANDLE ends[2];
  if (!::CreatePipe(&ends[0], &ends[1], nullptr, 0)) return false;
  reader = own(ends[0]);
  writer = own(ends[1]);
  return true;
}

ChildInput::ChildInput(std::string_view text) : rest_(as_bytes(text)) {}

Result<void> ChildInput::watch(EventLoop& loop, ChildPipe& pipe) {
  RUNHV_TRY_ASSIGN(stream_, Stream::adopt_owned(std::move(pipe.writer), false));
  RUNHV_TRY(stream_->bind(loop));
  write();
  return {};
}

void ChildInput::write() {
  while (!rest_.empty()) {
    const IoResult result = stream_->write(rest_);
    if (result.status == IoStatus::kWouldBlock) {
      return stream_->on_writable([this] { write(); });
    }
    // A child that ends early is its own answer.
    if (result.status != IoStatus::kDone) return stream_.reset();
    rest_ = rest_.subspan(result.bytes);
  }
  if (stream_->flush().status != IoStatus::kWouldBlock) return stream_.reset();
  stream_->on_flushed([this] { stream_.reset(); });
}

}  // namespace runhv::platform
