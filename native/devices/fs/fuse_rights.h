// Who a file belongs to as the guest sees it, and what its mode loses where it is written.
#pragma once

#include <cstdint>

#include "devices/fs/fuse_protocol.h"
#include "platform/file_node.h"

namespace runhv::devices::fuse {

inline constexpr std::uint32_t kUnchanged = UINT32_MAX;  // of an owner
inline constexpr std::uint32_t kNobody = 65534;

// Who may not give files away has one user to show: its own is the guest's root, and every other
// nobody, as in a user namespace of a single user.
inline std::uint32_t shown_user(std::uint32_t uid) {
  if (platform::acts_for_all_users()) return uid;
  return uid == platform::own_user() ? 0 : kNobody;
}
inline std::uint32_t shown_group(std::uint32_t gid) {
  if (platform::acts_for_all_users()) return gid;
  return gid == platform::own_group() ? 0 : kNobody;
}
// Of what the guest sets. False: there is no such owner to be had.
inline bool take_owner(std::uint32_t& id) {
  if (platform::acts_for_all_users() || id == kUnchanged) return true;
  const bool mine = id == 0;
  id = kUnchanged;
  return mine;
}

// Whether writing to the file would have to take bits away that its mode has.
inline bool has_setid(const platform::FileNode& file) {
  platform::FileStatus status;
  return file.status(status) == 0 && (status.mode & (kSetUserId | kSetGroupId)) != 0;
}

// Runs `call` as somebody who may not keep set-user-ID bits, where the guest's kernel asks for it.
// Without rights over others' files the host takes them away by itself.
template <class Call>
int call_killing_setid(bool kill, const platform::FileNode& file, Call&& call) {
  if (!kill || !platform::acts_for_all_users() || !has_setid(file)) return call();
  const platform::WithoutKeepingSetid guard;
  return call();
}

}  // namespace runhv::devices::fuse
