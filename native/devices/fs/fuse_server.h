// Serves the requests of FUSE (Linux's include/uapi/linux/fuse.h) over shared trees of the host.
//
// The guest's kernel asks, and it is hostile: a request is read once into memory of ours, at most
// kMaxArgumentBytes of it, and each number is checked before it is used. The content of files goes
// between the host's kernel and guest memory without a copy.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "devices/fs/file_tree.h"
#include "devices/fs/share.h"
#include "devices/virtio/segment_cursor.h"

namespace runhv::devices {

class FuseServer {
 public:
  // A value of an attribute is the largest of them.
  static constexpr std::size_t kMaxArgumentBytes = (64u << 10) + 512;
  static constexpr std::size_t kMaxTransferBytes = 1u << 20;
  static constexpr std::size_t kMaxNameBytes = 255;
  static constexpr std::size_t kMaxDirectoryBytes = 64u << 10;  // of one answer
  static constexpr std::size_t kMaxCopyBytes = 64u << 20;       // of one request
  // What a guest may take for true without asking again: names, attributes, and with them content.
  static constexpr std::uint32_t kCacheNs = 250'000'000;

  // `limit`: files that the guest may know at one time.
  FuseServer(std::vector<Share> shares, std::size_t limit) : tree_(std::move(shares), limit) {}

  // FileTree's.
  int add_share(Share share, std::size_t& index) {
    return tree_.add_share(std::move(share), index);
  }
  void remove_share(std::size_t index) { tree_.remove_share(index); }

  // Returns how much of `out` was written: 0 where a request wants no answer or has no room for
  // one. May take as long as the host likes. Threads: any, at once.
  std::uint32_t serve(std::span<const ReadSegment> in, std::span<const WriteSegment> out);
  // The same without waiting for the host: nothing where it would have to. It tries READ alone.
  std::optional<std::uint32_t> serve_at_once(std::span<const ReadSegment> in,
                                             std::span<const WriteSegment> out);

 private:
  struct Request;
  using Node = std::shared_ptr<const TreeNode>;

  std::optional<std::uint32_t> answer(std::span<const ReadSegment> in,
                                      std::span<const WriteSegment> out, bool may_wait);
  int dispatch(Request& request);
  int initialize(Request& request);
  int look_up(Request& request);
  int forget(Request& request);
  int batch_forget(Request& request);
  int get_attributes(Request& request);
  int set_attributes(Request& request);
  int extended_status(Request& request);
  int read_link(Request& request);
  int make_link(Request& request);
  int make_special(Request& request);
  int make_directory(Request& request);
  int remove(Request& request, bool directory);
  int rename(Request& request, bool with_flags);
  int link(Request& request);
  int open(Request& request);
  int create(Request& request);
  int create_unnamed(Request& request);
  int read(Request& request);
  int write(Request& request);
  int file_system(Request& request);
  int release(Request& request);
  int sync(Request& request);
  int sync_file_systems();
  int flush(Request& request);
  int open_directory(Request& request);
  int read_directory(Request& request, bool with_attributes);
  int allocate(Request& request);
  int find_data(Request& request);
  int copy_range(Request& request);
  int set_attribute(Request& request);
  int get_attribute(Request& request);
  int list_attributes(Request& request);
  int remove_attribute(Request& request);

  int node_of(std::uint64_t id, Node& node) const;
  int writable_node_of(std::uint64_t id, Node& node) const;
  int find_in(const TreeNode& parent, const std::string& name, bool may_wait, Node& node,
              platform::FileStatus& status);
  int answer_entry(const TreeNode& parent, const std::string& name, Request& request);
  void append_entry(std::uint64_t id, const platform::FileStatus& status, Request& request) const;
  void append_attributes(const platform::FileStatus& status, Request& request) const;
  int answer_attributes(const platform::FileStatus& status, Request& request) const;
  int answer_open(const Node& node, platform::OpenFile file, platform::FileAccess access,
                  Request& request);
  int status_of(std::uint64_t id, platform::FileStatus& status) const;

  FileTree tree_;
  std::atomic<std::uint64_t> features_{0};  // negotiated; 0: before INIT
};

}  // namespace runhv::devices
