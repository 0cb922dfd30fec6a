// What a guest knows of the shared trees: files by node id, opened files by handle, and numbers
// that tell files apart.
//
// The top is a directory that no host has: its entries "0", "1", … are the shares. These numbers,
// ids and handles are counted up and never used again, so a made-up or old one finds nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "devices/fs/share.h"
#include "platform/file_node.h"

namespace runhv::devices {

// A file that the guest has looked up. One for each file of a share, whatever its names, so that
// the guest keeps one copy of its content.
struct TreeNode {
  std::shared_ptr<const platform::FileNode> file;
  std::uint64_t id;
  std::size_t share;
  bool read_only;
  bool cross_mounts;
  bool in_window = false;  // its content may be shown there; as long as the guest knows it
  // What the guest has written to it, by a range of the window, may be lost. The window's.
  mutable bool lost_writes = false;
};

struct TreeHandle {
  std::shared_ptr<const TreeNode> node;
  platform::OpenFile file;
  bool writable = false;
  std::mutex reading;  // of a directory, whose place the descriptor keeps
};

// Threads: any, at once.
class FileTree {
 public:
  // `limit`: of nodes and handles together; each holds a descriptor of the process. `has_window`:
  // files can be shown in the guest's memory.
  FileTree(std::vector<Share> shares, std::size_t limit, bool has_window);

  // The number of a share that comes now. One that is there already, as writable and as far, is the
  // same, so that the guest keeps one copy of its files; it goes when all have removed it. 0 or an
  // errno of the host.
  int add_share(Share share, std::size_t& index);
  // The guest knows nothing of it any more: its files are let go of as soon as no request uses
  // them. False: others have added it as well, and nothing has changed. REQUIRES: a number of
  // add_share.
  bool remove_share(std::size_t index);

  // Null where the id is not known.
  std::shared_ptr<const TreeNode> find(std::uint64_t id) const;

  // The node of share `index`, looked up once more. 0, ENOENT where there is none, or ENFILE.
  int look_up_share(std::size_t index, std::shared_ptr<const TreeNode>& node,
                    platform::FileStatus& status);
  // The node of `file`, which was found in `parent`, looked up once more. 0 or an errno.
  int adopt(const TreeNode& parent, platform::FileNode file, std::shared_ptr<const TreeNode>& node,
            platform::FileStatus& status);
  void forget(std::uint64_t id, std::uint64_t lookups);

  // 0 or ENFILE.
  int add_handle(std::shared_ptr<TreeHandle> handle, std::uint64_t& number);
  std::shared_ptr<TreeHandle> find_handle(std::uint64_t number) const;
  // Whether a handle can write to that file.
  bool has_writer(const TreeNode& node) const;
  // False: it is not known.
  bool remove_handle(std::uint64_t number);

  // The guest begins anew.
  void clear();

  // An inode number that no other file of these trees has: as the host's, where only one of its
  // file systems is shared.
  std::uint64_t inode_number(std::uint64_t device, std::uint64_t inode) const;

  // The tops of those that can be written.
  std::vector<std::shared_ptr<const platform::FileNode>> writable_tops() const;

 private:
  struct Key {
    std::size_t share;
    std::uint64_t mount;
    std::uint64_t device;
    std::uint64_t inode;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const;
  };
  struct Known {
    std::shared_ptr<const TreeNode> node;
    Key key;
    std::uint64_t lookups;
  };

  struct Shown {
    TreeNode top;
    std::size_t uses;
  };

  void insert(Share share);
  int adopt(TreeNode node, platform::FileStatus& status, std::shared_ptr<const TreeNode>& out);
  bool full() const { return nodes_.size() + handles_.size() >= limit_; }

  const std::size_t limit_;
  const bool has_window_;
  mutable std::mutex mutex_;  // of all that follows
  std::map<std::size_t, Shown> shares_;
  std::size_t next_share_ = 0;
  std::unordered_map<std::uint64_t, Known> nodes_;
  std::unordered_map<Key, std::uint64_t, KeyHash> ids_;
  std::unordered_map<std::uint64_t, std::shared_ptr<TreeHandle>> handles_;
  mutable std::vector<std::uint64_t> devices_;  // in the order in which they were seen
  std::uint64_t next_id_;
  std::uint64_t next_handle_ = 1;
};

}  // namespace runhv::devices
