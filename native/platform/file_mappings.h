// Files of the host, shown in a piece of this process's memory.
//
// A file may be cut short, or its disk may fail, while it is shown: whoever touches such a page
// would end the process by a signal. Instead it finds zeros, up to the end of the range, which is
// marked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "platform/file_node.h"

namespace runhv::platform {

// Threads: any, but one at a time for each range. Memory without a file is as it was before, zero.
class FileMappings {
 public:
  // `memory`, of a MemoryRegion that outlives this: ranges of `range_bytes`, a multiple of the page
  // and of all ranges that there are at most kMaxRanges. Null where this system shows no files so.
  static Result<std::unique_ptr<FileMappings>> create(std::span<std::byte> memory,
                                                      std::size_t range_bytes);
  // No file is shown any more.
  ~FileMappings();
  FileMappings(const FileMappings&) = delete;
  FileMappings& operator=(const FileMappings&) = delete;

  static constexpr std::size_t kMaxRanges = 1024;

  // In place of what was in that range: the file's bytes from `offset` on, a multiple of the page.
  // What is written there is the file's where `writable`, else this process's alone. The file may
  // be closed afterwards. 0, or an errno of Linux and the range shows nothing: the system may have
  // taken away what was there before it fails.
  int show(std::size_t range, const OpenFile& file, std::uint64_t offset, bool writable);
  void hide(std::size_t range);

  // Whether pages of any range, or of this one, were lost since the last take. The first is cheap.
  bool has_lost_any() const;
  bool take_any_lost();
  bool take_lost(std::size_t range);

  struct Watched;  // what the handler of the signal knows

 private:
  FileMappings(std::span<std::byte> memory, std::size_t range_bytes, Watched& watched)
      : memory_(memory), range_bytes_(range_bytes), watched_(watched) {}
  std::span<std::byte> bytes_of(std::size_t range) const {
    return memory_.subspan(range * range_bytes_, range_bytes_);
  }

  const std::span<std::byte> memory_;
  const std::size_t range_bytes_;
  Watched& watched_;
};

}  // namespace runhv::platform
