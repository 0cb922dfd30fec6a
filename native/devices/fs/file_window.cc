#include "devices/fs/file_window.h"

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
  if (failed != 0) return failed;
  shown_[range] = std::move(shown);
  changed(range);
  return 0;
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

int FileWindow::hide(std::size_t range) {
  const std::lock_guard lock(mutex_);
  return hide_locked(range);
}

int FileWindow::hide_locked(std::size_t range) {
  if (shown_[range].node == nullptr) return 0;
  if (const int failed = mappings_->hide(range); failed != 0) return failed;
  shown_[range] = {};
  changed(range);
  return 0;
}

void FileWindow::hide_share(std::size_t share) {
  const std::lock_guard lock(mutex_);
  for (std::size_t range = 0; range < shown_.size(); ++range) {
    const Shown& shown = shown_[range];
    if (shown.node != nullptr && shown.node->share == share) (void)hide_locked(range);
  }
}

void FileWindow::hide_all() {
  const std::lock_guard lock(mutex_);
  for (std::size_t range = 0; range < shown_.size(); ++range) (void)hide_locked(range);
  lost_writes_.clear();
}

void FileWindow::mend() {
  if (!mappings_->take_any_lost()) return;
  const std::lock_guard lock(mutex_);
  for (std::size_t range = 0; range < shown_.size(); ++range) {
    const Shown& shown = shown_[range];
    if (!mappings_->take_lost(range) || shown.node == nullptr) continue;
    if (shown.written_through) lost_writes_.insert(shown.node->id);
    // Where that fails it goes on showing zeros.
    (void)mappings_->show(range, shown.file, shown.offset, shown.written_through);
    changed(range);
  }
}

bool FileWindow::take_lost_writes(std::uint64_t node_id) {
  const std::lock_guard lock(mutex_);
  return lost_writes_.erase(node_id) != 0;
}

// A processor may have decoded instructions there.
void FileWindow::changed(std::size_t range) const {
  memory_->written(*range_.first.plus(range * kRangeBytes), kRangeBytes);
}

}  // namespace runhv::devices
