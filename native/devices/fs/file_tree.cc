#include "devices/fs/file_tree.h"

#include <algorithm>
#include <utility>

#include "devices/fs/fuse_protocol.h"

namespace runhv::devices {
namespace {

// splitmix64: far apart for neighbours, 0 for 0.
std::uint64_t spread(std::uint64_t value) {
  value *= 0x9e3779b97f4a7c15u;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

// A range costs the guest two requests, and the others of a small window their place: of a smaller
// file, less than to read it.
constexpr std::uint64_t kLeastWindowBytes = 64u << 10;

bool belongs_in_window(const platform::FileNode& file, const platform::FileStatus& status) {
  return (status.mode & fuse::kTypeMask) == fuse::kTypeRegular &&
         status.size >= kLeastWindowBytes && file.can_be_shown();
}

}  // namespace

std::size_t FileTree::KeyHash::operator()(const Key& key) const {
  return spread(spread(spread(spread(key.inode) + key.device) + key.mount) + key.share);
}

FileTree::FileTree(std::vector<Share> shares, std::size_t limit, bool has_window)
    : limit_(limit), has_window_(has_window), next_id_(fuse::kRootId + 1) {
  for (Share& share : shares) insert(std::move(share));
}

void FileTree::insert(Share share) {
  const std::size_t index = next_share_++;
  shares_.emplace(
      index, Shown{.top = {.file = std::make_shared<const platform::FileNode>(std::move(share.top)),
                           .id = 0,
                           .share = index,
                           .read_only = share.read_only,
                           .cross_mounts = share.cross_mounts},
                   .uses = 1});
}

int FileTree::add_share(Share share, std::size_t& index) {
  platform::FileStatus wanted;
  if (const int failed = share.top.status(wanted); failed != 0) return failed;
  const std::lock_guard lock(mutex_);
  for (auto& [number, shown] : shares_) {
    platform::FileStatus there;
    if (shown.top.read_only != share.read_only || shown.top.cross_mounts != share.cross_mounts ||
        shown.top.file->status(there) != 0 || there.mount != wanted.mount ||
        there.device != wanted.device || there.inode != wanted.inode) {
      continue;
    }
    ++shown.uses;
    index = number;
    return 0;
  }
  index = next_share_;
  insert(std::move(share));
  return 0;
}

bool FileTree::remove_share(std::size_t index) {
  // Closed outside of the lock.
  std::vector<std::shared_ptr<const TreeNode>> nodes;
  std::vector<std::shared_ptr<TreeHandle>> handles;
  decltype(shares_)::node_type shown;
  const std::lock_guard lock(mutex_);
  const auto found = shares_.find(index);
  if (--found->second.uses != 0) return false;
  shown = shares_.extract(found);
  std::erase_if(handles_, [&](auto& each) {
    const bool goes = each.second->node->share == index;
    if (goes) handles.push_back(std::move(each.second));
    return goes;
  });
  std::erase_if(ids_, [&](const auto& each) { return each.first.share == index; });
  std::erase_if(nodes_, [&](auto& each) {
    const bool goes = each.second.key.share == index;
    if (goes) nodes.push_back(std::move(each.second.node));
    return goes;
  });
  return true;
}

std::vector<std::shared_ptr<const platform::FileNode>> FileTree::writable_tops() const {
  std::vector<std::shared_ptr<const platform::FileNode>> tops;
  const std::lock_guard lock(mutex_);
  for (const auto& [index, shown] : shares_) {
    if (!shown.top.read_only) tops.push_back(shown.top.file);
  }
  return tops;
}

std::shared_ptr<const TreeNode> FileTree::find(std::uint64_t id) const {
  const std::lock_guard lock(mutex_);
  const auto found = nodes_.find(id);
  return found == nodes_.end() ? nullptr : found->second.node;
}

int FileTree::look_up_share(std::size_t index, std::shared_ptr<const TreeNode>& node,
                            platform::FileStatus& status) {
  std::unique_lock lock(mutex_);
  const auto found = shares_.find(index);
  if (found == shares_.end()) return fuse::kEnoent;
  TreeNode top = found->second.top;
  lock.unlock();
  return adopt(std::move(top), status, node);
}

int FileTree::adopt(const TreeNode& parent, platform::FileNode file,
                    std::shared_ptr<const TreeNode>& node, platform::FileStatus& status) {
  return adopt({.file = std::make_shared<const platform::FileNode>(std::move(file)),
                .id = 0,
                .share = parent.share,
                .read_only = parent.read_only,
                .cross_mounts = parent.cross_mounts},
               status, node);
}

int FileTree::adopt(TreeNode node, platform::FileStatus& status,
                    std::shared_ptr<const TreeNode>& out) {
  if (const int failed = node.file->status(status); failed != 0) return failed;
  node.in_window = has_window_ && belongs_in_window(*node.file, status);
  const Key key{node.share, status.mount, status.device, status.inode};
  const std::lock_guard lock(mutex_);
  if (const auto known = ids_.find(key); known != ids_.end()) {
    Known& found = nodes_.at(known->second);
    ++found.lookups;
    out = found.node;
    return 0;
  }
  // Removed meanwhile.
  if (!shares_.contains(node.share)) return fuse::kEnoent;
  if (full()) return fuse::kEnfile;
  node.id = next_id_++;
  out = std::make_shared<const TreeNode>(std::move(node));
  ids_.emplace(key, out->id);
  nodes_.emplace(out->id, Known{out, key, 1});
  return 0;
}

void FileTree::forget(std::uint64_t id, std::uint64_t lookups) {
  std::shared_ptr<const TreeNode> last;  // closed outside of the lock
  const std::lock_guard lock(mutex_);
  const auto found = nodes_.find(id);
  if (found == nodes_.end()) return;
  if (lookups < found->second.lookups) {
    found->second.lookups -= lookups;
    return;
  }
  last = std::move(found->second.node);
  ids_.erase(found->second.key);
  nodes_.erase(found);
}

int FileTree::add_handle(std::shared_ptr<TreeHandle> handle, std::uint64_t& number) {
  const std::lock_guard lock(mutex_);
  if (!shares_.contains(handle->node->share)) return fuse::kEnoent;
  if (full()) return fuse::kEnfile;
  number = next_handle_++;
  handles_.emplace(number, std::move(handle));
  return 0;
}

std::shared_ptr<TreeHandle> FileTree::find_handle(std::uint64_t number) const {
  const std::lock_guard lock(mutex_);
  const auto found = handles_.find(number);
  return found == handles_.end() ? nullptr : found->second;
}

bool FileTree::has_writer(const TreeNode& node) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(handles_, [&](const auto& each) {
    return each.second->writable && each.second->node.get() == &node;
  });
}

bool FileTree::remove_handle(std::uint64_t number) {
  std::shared_ptr<TreeHandle> last;  // closed outside of the lock
  const std::lock_guard lock(mutex_);
  const auto found = handles_.find(number);
  if (found == handles_.end()) return false;
  last = std::move(found->second);
  handles_.erase(found);
  return true;
}

void FileTree::clear() {
  decltype(nodes_) nodes;
  decltype(handles_) handles;
  const std::lock_guard lock(mutex_);
  nodes.swap(nodes_);
  handles.swap(handles_);
  ids_.clear();
}

std::uint64_t FileTree::inode_number(std::uint64_t device, std::uint64_t inode) const {
  const std::lock_guard lock(mutex_);
  auto found = std::ranges::find(devices_, device);
  if (found == devices_.end()) found = devices_.insert(devices_.end(), device);
  return inode ^ spread(static_cast<std::uint64_t>(found - devices_.begin()));
}

}  // namespace runhv::devices
