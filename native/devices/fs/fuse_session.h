// What all requests of one guest share: the trees, what INIT has agreed on, and how files are found
// and shown. Functions return 0 or an errno of Linux. Threads: any, at once.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "devices/fs/file_tree.h"
#include "devices/fs/file_window.h"
#include "devices/fs/fuse_request.h"

namespace runhv::devices::fuse {

// What a guest may take for true without asking again: names, attributes, and with them content.
inline constexpr std::uint32_t kCacheNs = 250'000'000;
inline constexpr std::uint32_t kPageBytes = 4096;

using Node = std::shared_ptr<const TreeNode>;

class Session {
 public:
  // `limit`: files that the guest may know at one time. `window` may be null.
  Session(std::vector<Share> shares, std::size_t limit, std::unique_ptr<FileWindow> window)
      : tree_(std::move(shares), limit, window != nullptr), window_(std::move(window)) {}

  FileTree& tree() { return tree_; }
  FileWindow* window() { return window_.get(); }
  // A handle to write to that file has come, or gone.
  int writers_changed(const Node& node) {
    if (window_ == nullptr || !node->in_window) return 0;
    return window_->writers_changed(node, tree_);
  }
  // As FileWindow has it.
  void content_changed(const TreeNode& node, std::uint64_t offset, std::uint64_t size) {
    if (window_ != nullptr && node.in_window) window_->content_changed(node, offset, size);
  }
  // The guest begins anew, or goes.
  void clear() {
    tree_.clear();
    if (window_ != nullptr) window_->hide_all();
  }

  // INIT was answered with these features.
  void begin(std::uint64_t features) { features_.store(features | kBegun); }
  bool has_begun() const { return features_.load() != 0; }
  bool has(std::uint64_t feature) const { return (features_.load() & feature) != 0; }

  // ENOENT: the id is not known.
  int find(std::uint64_t id, Node& node) const;
  // EROFS for the top and what is shared read-only.
  int find_writable(std::uint64_t id, Node& node) const;
  // The directory of `request` that is to get or lose `name`, once all arguments are taken: they
  // were whole, the name is one, the directory can be written.
  int find_parent(const Request& request, const std::string& name, Node& parent) const;
  // `name` of a directory, which counts as looked up once more.
  int look_up(const TreeNode& parent, const std::string& name, bool may_wait, Node& node,
              platform::FileStatus& status);

  // struct fuse_attr
  void append_attributes(const platform::FileStatus& status, bool in_window,
                         FuseAnswer& answer) const;
  // struct fuse_entry_out. Null: there is nothing.
  void append_entry(const TreeNode* node, const platform::FileStatus& status,
                    FuseAnswer& answer) const;
  // struct fuse_open_out, with a new handle.
  int append_open(const Node& node, platform::OpenFile file, platform::FileAccess access,
                  FuseAnswer& answer);

 private:
  static constexpr std::uint64_t kBegun = 1ull << 63;  // beside the features

  FileTree tree_;
  const std::unique_ptr<FileWindow> window_;
  std::atomic<std::uint64_t> features_{0};
};

// One component that leads to what is in the directory itself: else EINVAL or ENAMETOOLONG.
int check_name(const std::string& name);

}  // namespace runhv::devices::fuse
