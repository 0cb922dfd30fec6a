#include "devices/fs/file_window.h"

#include <algorithm>
#include <utility>

#include "devices/fs/fuse_protocol.h"

namespace runhv::devices {

Result<std::unique_ptr<FileWindow>> FileWindow::create(
    std::shared_ptr<const memory::GuestMemory> memory) {
  const memory::GuestRange* range = memory->range_that_shows_files();
  if (range == nullptr) return std::unique_ptr<FileWindow>();
  RUNHV_TRY_ASSIGN(auto mappings,
                   platform::FileMappings::create(range->region.bytes(), kRangeBytes));
  if (mappings == nullptr) return std::unique_ptr<FileWindow>();
  return std::unique_ptr<FileWindow>(
      new FileWindow(std::move(memory), *range, std::move(mappings)));
}

int FileWindow::show(std::size_t range, const std::shared_ptr<const TreeNode>& node,
                     std::uint64_t offset, bool writable, const FileTree& tree) {
  const std::lock_guard lock(mutex_);
  // remove_share() comes here after the node has gone.
  if (tree.find(node->id) != node) return fuse::kEnoent;
  Shown shown{.node = node, .offset = offset, .writable = writable};
  return show_locked(range, std::move(shown), writable && tree.has_writer(*node));
}

int FileWindow::show_locked(std::size_t range, Shown shown, bool write_through) {
  const auto access =
      write_through ? platform::FileAccess::kReadWrite : platform::FileAccess::kRead;
  if (const int failed = shown.node->file->open(access, false, shown.file); failed != 0) {
    return failed;
  }
  shown.written_through = write_through;
  const int failed = mappings_->show(range, shown.file, shown.offset, write_through);
  Shown& now = shown_[range];
  if (failed != 0 && now.written_through) now.node->lost_writes = true;
  now = failed == 0 ? std::move(shown) : Shown{};
  changed(range);
  return failed;
}

int FileWindow::writers_changed(const std::shared_ptr<const TreeNode>& node, const FileTree& tree) {
  const std::lock_guard lock(mutex_);
  const bool write_through = tree.has_writer(*node);
  for (std::size_t range = 0; range < shown_.size(); ++range) {
    const Shown& shown = shown_[range];
    if (shown.node != node || !shown.writable || shown.written_through == write_through) continue;
    Shown anew{.node = node, .offset = shown.offset, .writable = true};
    const int failed = show_locked(range, std::move(anew), write_through);
    if (failed != 0) return failed;
  }
  return 0;
}

void FileWindow::hide(std::size_t range) {
  const std::lock_guard lock(mutex_);
  hide_locked(range);
}

void FileWindow::hide_locked(std::size_t range) {
  if (shown_[range].node == nullptr) return;
  mappings_->hide(range);
  shown_[range] = {};
  changed(range);
}

void FileWindow::hide_share(std::size_t share) {
  const std::lock_guard lock(mutex_);
  for (std::size_t range = 0; range < shown_.size(); ++range) {
    const Shown& shown = shown_[range];
    if (shown.node != nullptr && shown.node->share == share) hide_locked(range);
  }
}

void FileWindow::hide_all() {
  const std::lock_guard lock(mutex_);
  for (std::size_t range = 0; range < shown_.size(); ++range) hide_locked(range);
}

void FileWindow::mend() {
  if (!mappings_->has_lost_any()) return;
  const std::lock_guard lock(mutex_);
  if (!mappings_->take_any_lost()) return;
  for (std::size_t range = 0; range < shown_.size(); ++range) {
    const Shown& shown = shown_[range];
    if (!mappings_->take_lost(range) || shown.node == nullptr) continue;
    if (shown.written_through) shown.node->lost_writes = true;
    // Where that fails it goes on showing zeros.
    (void)mappings_->show(range, shown.file, shown.offset, shown.written_through);
    changed(range);
  }
}

bool FileWindow::take_lost_writes(const TreeNode& node) {
  const std::lock_guard lock(mutex_);
  return std::exchange(node.lost_writes, false);
}

void FileWindow::content_changed(const TreeNode& node, std::uint64_t offset, std::uint64_t size) {
  const std::lock_guard lock(mutex_);
  for (std::size_t range = 0; range < shown_.size(); ++range) {
    const Shown& shown = shown_[range];
    if (shown.node.get() != &node || offset >= shown.offset + kRangeBytes) continue;
    const std::uint64_t from = offset > shown.offset ? offset - shown.offset : 0;
    const std::uint64_t skipped = shown.offset + from - offset;
    if (skipped >= size) continue;
    memory_->written(*range_.first.plus(range * kRangeBytes + from),
                     std::min(size - skipped, kRangeBytes - from));
  }
}

// A processor may have decoded instructions there.
void FileWindow::changed(std::size_t range) const {
  memory_->written(*range_.first.plus(range * kRangeBytes), kRangeBytes);
}

}  // namespace runhv::devices
