#include "platform/lossy_writer.h"

#include <string>

#include "platform/clock.h"
#include "platform/standard_streams.h"

namespace runhv::platform {

void LossyWriter::write(std::string_view text, std::uint64_t patience_ns) {
  const std::lock_guard lock(mutex_);
  if (text.empty()) return;
  std::string before(unfinished_line_ ? "\n" : "");
  if (lost_bytes_ != 0) {
    before +=
        "runhv: " + std::to_string(lost_bytes_) + " bytes of output are lost: nobody read them\n";
  }
  if (write_some(before, patience_ns) != before.size()) {
    lost_bytes_ += text.size();
    return;
  }
  lost_bytes_ = text.size() - write_some(text, patience_ns);
}

std::size_t LossyWriter::write_some(std::string_view text, std::uint64_t patience_ns) {
  if (!stream_) return 0;
  const std::uint64_t deadline_ns = monotonic_ns() + patience_ns;
  std::size_t done = 0;
  while (done < text.size()) {
    const IoResult result = stream_->write(std::as_bytes(std::span(text.substr(done))));
    if (result.status == IoStatus::kDone) {
      done += result.bytes;
      continue;
    }
    if (result.status != IoStatus::kWouldBlock || !stream_->wait_for_room(deadline_ns)) break;
  }
  if (patience_ns != 0) stream_->wait_until_flushed(deadline_ns);
  if (done > 0) unfinished_line_ = text[done - 1] != '\n';
  return done;
}

LossyWriter& lossy_stderr() {
  // Never destroyed: threads may speak until the last moment.
  static LossyWriter& writer = *[] {
    auto stream = Stream::adopt(standard_stream(2), false);
    return new LossyWriter(stream ? std::optional<Stream>(*std::move(stream)) : std::nullopt);
  }();
  return writer;
}

}  // namespace runhv::platform
