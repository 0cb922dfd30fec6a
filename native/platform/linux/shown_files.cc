#include "platform/shown_files.h"

#include <csignal>
#include <cstddef>

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/linux/descriptor.h"
#include "platform/linux/forwarded_signals.h"
#include "platform/os_error.h"
#include "platform/thread.h"

namespace runhv::platform {
namespace {

constexpr const char* kShowFiles = "show the container's files to who enters its mount namespace";
constexpr int kDetach = 2;  // MNT_DETACH, which <linux/mount.h> has not

bool change(int directory, const char* path, unsigned flags, const mount_attr& attributes) {
  return ::syscall(SYS_mount_setattr, directory, path, flags, &attributes, sizeof attributes) == 0;
}

bool attach(const UniqueHandle& mount, const std::string& place) {
  return ::syscall(SYS_move_mount, number(mount), "", AT_FDCWD, place.c_str(),
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS) == 0;
}

UniqueHandle empty_folder() {
  const UniqueHandle made(static_cast<int>(::syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC)));
  if (!made.is_open() ||
      ::syscall(SYS_fsconfig, number(made), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return {};
  }
  return UniqueHandle(static_cast<int>(
      ::syscall(SYS_fsmount, number(made), FSMOUNT_CLOEXEC,
                MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)));
}

// A mount of its own, attached nowhere yet.
UniqueHandle tree(const std::string& source, bool cross_mounts, bool read_only) {
  if (source.empty()) return empty_folder();
  UniqueHandle mount(static_cast<int>(
      ::syscall(SYS_open_tree, AT_FDCWD, source.c_str(),
                OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (cross_mounts ? AT_RECURSIVE : 0))));
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (read_only ? MOUNT_ATTR_RDONLY : 0);
  if (mount.is_open() &&
      !change(number(mount), "", AT_EMPTY_PATH | (cross_mounts ? AT_RECURSIVE : 0), attributes)) {
    return {};
  }
  return mount;
}

Result<void> show_here(const ShownFiles& files) {
  // A thread's root and working folder are then its own, too.
  if (::unshare(CLONE_NEWNS) != 0) return Fail{last_os_error(kShowFiles)};
  mount_attr private_to_us{};
  private_to_us.propagation = MS_PRIVATE;
  if (!change(AT_FDCWD, "/", AT_RECURSIVE, private_to_us)) return Fail{last_os_error(kShowFiles)};
  const UniqueHandle root = tree(files.root, false, false);
  if (!root.is_open()) return Fail{last_os_error(kShowFiles)};
  std::vector<UniqueHandle> mounts;  // while the host's paths are there
  for (const ShownMount& mount : files.mounts) {
    mounts.push_back(tree(mount.source, mount.cross_mounts, mount.read_only));
  }
  // pivot_root(2): where both are the working folder, the old root lies on the new one.
  if (!attach(root, "/") || ::fchdir(number(root)) != 0 ||
      ::syscall(SYS_pivot_root, ".", ".") != 0 || ::syscall(SYS_umount2, ".", kDetach) != 0 ||
      ::chdir("/") != 0) {
    return Fail{last_os_error(kShowFiles)};
  }
  // The guest can put any link into its root: from here on none leads out.
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    if (mounts[i].is_open()) static_cast<void>(attach(mounts[i], files.mounts[i].place));
  }
  mount_attr read_only{};
  read_only.attr_set = MOUNT_ATTR_RDONLY;
  if (files.read_only && !change(number(root), "", AT_EMPTY_PATH, read_only)) {
    return Fail{last_os_error(kShowFiles)};
  }
  return {};
}

}  // namespace

Result<int> FirstThread::run(std::function<int()> work) {
  const sigset_t blocked = forwarded_signal_set();
  ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  int status = 0;
  RUNHV_TRY_ASSIGN(Thread thread, Thread::start("runhv-vmm", [&] {
                     status = work();
                     const std::lock_guard lock(mutex_);
                     done_ = true;
                     changed_.notify_all();
                   }));
  {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return done_ || job_ != nullptr; });
      if (job_ == nullptr) break;
      answer_ = (*job_)();
      job_ = nullptr;
      changed_.notify_all();
    }
  }
  thread.join();
  return status;
}

Result<void> FirstThread::show(const ShownFiles& files) {
  return do_there([&files] { return show_here(files); });
}

Result<void> FirstThread::do_there(const std::function<Result<void>()>& job) {
  std::unique_lock lock(mutex_);
  answer_.reset();
  job_ = &job;
  changed_.notify_all();
  changed_.wait(lock, [&] { return answer_.has_value(); });
  return *answer_;
}

}  // namespace runhv::platform
