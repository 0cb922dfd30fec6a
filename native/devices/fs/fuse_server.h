// Serves the requests of FUSE (Linux's include/uapi/linux/fuse.h) over shared trees of the host.
//
// The guest's kernel asks, and it is hostile: a request is read once into memory of ours, at most
// fuse::kMaxArgumentBytes of it, and each number is checked before it is used. The content of files
// goes between the host's kernel and guest memory without a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "devices/fs/fuse_session.h"
#include "devices/fs/share.h"
#include "devices/virtio/segment_cursor.h"

namespace runhv::devices {

class FuseServer {
 public:
  // `limit`: files that the guest may know at one time. `window`: where it may have their content
  // shown, or null.
  FuseServer(std::vector<Share> shares, std::size_t limit, std::unique_ptr<FileWindow> window)
      : session_(std::move(shares), limit, std::move(window)) {}

  // FileTree's.
  int add_share(Share share, std::size_t& index) {
    return session_.tree().add_share(std::move(share), index);
  }
  void remove_share(std::size_t index) {
    const bool gone = session_.tree().remove_share(index);
    if (gone && session_.window() != nullptr) session_.window()->hide_share(index);
  }
  // The driver has gone, or comes anew.
  void hide_all() {
    if (session_.window() != nullptr) session_.window()->hide_all();
  }

  // Returns how much of `out` was written: 0 where a request wants no answer or has no room for
  // one. May take as long as the host likes. Threads: any, at once.
  std::uint32_t serve(std::span<const ReadSegment> in, std::span<const WriteSegment> out);
  // The same without waiting for the host: nothing where it would have to. It tries READ,
  // LOOKUP and what changes the window.
  std::optional<std::uint32_t> serve_at_once(std::span<const ReadSegment> in,
                                             std::span<const WriteSegment> out);

 private:
  std::optional<std::uint32_t> answer(std::span<const ReadSegment> in,
                                      std::span<const WriteSegment> out, bool may_wait);

  fuse::Session session_;
};

}  // namespace runhv::devices
