// Text for a reader who may not read: a guest makes us write it, and must not make us wait for it.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>

#include "platform/stream.h"

namespace runhv::platform {

// Threads: any.
class LossyWriter {
 public:
  // Nothing: every text is lost.
  explicit LossyWriter(std::optional<Stream> stream) : stream_(std::move(stream)) {}

  // Writes what the stream takes, and waits at most `patience_ns` in all for it to take the rest.
  // What is left over is lost and counted; the next text comes after a line that says how much. A
  // text begins on a line of its own, whatever was torn off or left unfinished before it.
  void write(std::string_view text, std::uint64_t patience_ns = 0);

 private:
  // How many bytes the stream took.
  std::size_t write_some(std::string_view text, std::uint64_t patience_ns);

  std::mutex mutex_;
  std::optional<Stream> stream_;
  std::uint64_t lost_bytes_ = 0;
  bool unfinished_line_ = false;  // the last byte that the stream took ended no line
};

// The one of this process's stderr.
LossyWriter& lossy_stderr();

}  // namespace runhv::platform
