// Files of the host in the guest's memory: shared memory region 0 of the device (virtio 1.2
// §5.11.6, Linux' "DAX window"), which the guest fills range by range.
//
// What the guest reads and writes there is the host's page cache itself. A range that shows no file
// is memory of the guest like any other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/guest_address.h"
#include "base/result.h"
#include "devices/fs/file_tree.h"
#include "memory/guest_memory.h"
#include "platform/file_mappings.h"

namespace runhv::devices {

// Functions returning int: 0 or an errno of Linux. Threads: any, at once.
class FileWindow {
 public:
  // What Linux asks for at a time (FUSE_DAX_SHIFT); all that can be asked for here.
  static constexpr unsigned kRangeShift = 21;
  static constexpr std::uint64_t kRangeBytes = std::uint64_t{1} << kRangeShift;

  // Over the range of `memory` that shows files. Null: `memory` has none, or this host shows none.
  static Result<std::unique_ptr<FileWindow>> create(
      std::shared_ptr<const memory::GuestMemory> memory);

  Gpa first() const { return range_.first; }
  std::uint64_t bytes() const { return range_.region.size_bytes(); }
  std::size_t ranges() const { return shown_.size(); }

  // In place of what was there. Nothing happens, and ENOENT, where the guest does not know the node
  // any more. `writable`: while the guest has it open to write; else what is written there is not
  // the file's, and the host may run the file as a program. REQUIRES: `range` < ranges(), offset %
  // kRangeBytes == 0.
  int show(std::size_t range, const std::shared_ptr<const TreeNode>& node, std::uint64_t offset,
           bool writable, const FileTree& tree);
  void hide(std::size_t range);
  // A handle to write to that node has come, or gone.
  int writers_changed(const std::shared_ptr<const TreeNode>& node, const FileTree& tree);
  void hide_share(std::size_t share);
  void hide_all();

  // Files that were cut short, or could not be read, show zeros since the guest has looked: they
  // are shown anew. Before the guest is told how long a file is; costs next to nothing where all is
  // well.
  void mend();
  // Whether what the guest has written to this file, by a range, may be lost. Once.
  bool take_lost_writes(const TreeNode& node);
  // Bytes of a file are others than before, and not because a processor wrote them there.
  void content_changed(const TreeNode& node, std::uint64_t offset, std::uint64_t size);

 private:
  struct Shown {
    std::shared_ptr<const TreeNode> node;  // null: nothing
    std::uint64_t offset = 0;
    bool writable = false;
    platform::OpenFile file = {};
    bool written_through = false;  // as it is shown now
  };

  FileWindow(std::shared_ptr<const memory::GuestMemory> memory, const memory::GuestRange& range,
             std::unique_ptr<platform::FileMappings> mappings)
      : memory_(std::move(memory)),
        range_(range),
        mappings_(std::move(mappings)),
        shown_(range.region.size_bytes() / kRangeBytes) {}
  int show_locked(std::size_t range, Shown shown, bool write_through);
  void hide_locked(std::size_t range);
  void changed(std::size_t range) const;

  const std::shared_ptr<const memory::GuestMemory> memory_;  // lives as long as a file is shown
  const memory::GuestRange& range_;
  const std::unique_ptr<platform::FileMappings> mappings_;
  std::mutex mutex_;  // of all that follows, and of what is shown where
  std::vector<Shown> shown_;
};

}  // namespace runhv::devices
