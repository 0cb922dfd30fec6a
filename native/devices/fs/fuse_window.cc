#include <utility>
#include <vector>

#include "devices/fs/fuse_operations.h"

namespace runhv::devices::fuse {
namespace {

// The range of the window that begins at `offset`. False: none does, or it has another length.
bool find_range(const FileWindow& window, std::uint64_t offset, std::uint64_t size,
                std::size_t& range) {
  range = static_cast<std::size_t>(offset / FileWindow::kRangeBytes);
  return size == FileWindow::kRangeBytes && offset % FileWindow::kRangeBytes == 0 &&
         offset < window.bytes();
}

}  // namespace

int setupmapping(Session& session, Request& request) {
  // struct fuse_setupmapping_in. Linux names no handle: what it may do with the node counts.
  request.arguments.skip(8);
  const std::uint64_t offset = request.arguments.u64();
  const std::uint64_t size = request.arguments.u64();
  const std::uint64_t flags = request.arguments.u64();
  const std::uint64_t window_offset = request.arguments.u64();
  if (!request.arguments.ok()) return kEinval;
  FileWindow* const window = session.window();
  if (window == nullptr) return kEnosys;
  std::size_t range = 0;
  const bool writable = (flags & kMapWritable) != 0;
  if (!find_range(*window, window_offset, size, range) || offset % FileWindow::kRangeBytes != 0 ||
      offset > kMaxFileBytes - size || (flags & ~(kMapWritable | kMapReadable)) != 0) {
    return kEinval;
  }
  Node node;
  const int known =
      writable ? session.find_writable(request.node, node) : session.find(request.node, node);
  if (known != 0) return known;
  if (!node->in_window) return kEinval;
  return window->show(range, node, offset, writable, session.tree());
}

int removemapping(Session& session, Request& request) {
  FileWindow* const window = session.window();
  if (window == nullptr) return kEnosys;
  const std::uint32_t count = request.arguments.u32();  // struct fuse_removemapping_in
  std::vector<std::size_t> ranges;
  for (std::uint32_t i = 0; i < count; ++i) {
    // struct fuse_removemapping_one
    const std::uint64_t offset = request.arguments.u64();
    const std::uint64_t size = request.arguments.u64();
    std::size_t range = 0;
    if (!request.arguments.ok() || !find_range(*window, offset, size, range)) return kEinval;
    ranges.push_back(range);
  }
  if (!request.arguments.ok()) return kEinval;
  for (const std::size_t range : ranges) window->hide(range);
  return 0;
}

}  // namespace runhv::devices::fuse
