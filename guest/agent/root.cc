#include "root.h"

#include <linux/fs.h>
#include <linux/mount.h>

#include "sys.h"
#include "text.h"

namespace runhv::agent {
namespace {

// Directories of the initramfs (make_initramfs.py).
constexpr char kImage[] = "/lower";
constexpr char kWritable[] = "/rw";
constexpr char kUpper[] = "/rw/upper";
constexpr char kWork[] = "/rw/work";
constexpr char kRoot[] = "/root";
constexpr char kScratchDisk[] = "/dev/vdb";
constexpr char kShares[] = "/shares";  // made where there are any

constexpr std::uint64_t kScratchBlockBytes = 4096;                     // make_scratch of tools/dev
constexpr unsigned long kExt4ResizeFs = _IOW('f', 16, std::uint64_t);  // EXT4_IOC_RESIZE_FS

long scratch_blocks(std::uint64_t& blocks) {
  const int disk = sys::open(kScratchDisk, O_RDONLY);
  if (disk < 0) return disk;
  std::uint64_t bytes = 0;
  const long result = sys::ioctl(disk, BLKGETSIZE64, &bytes);
  sys::close(disk);
  blocks = bytes / kScratchBlockBytes;
  return result;
}

// The host has put a small file system at the beginning of the disk.
long grow_scratch_disk() {
  std::uint64_t blocks = 0;
  long result = scratch_blocks(blocks);
  if (result < 0) return result;
  const int top = sys::open(kWritable, O_RDONLY | O_DIRECTORY);
  if (top < 0) return top;
  result = sys::ioctl(top, kExt4ResizeFs, &blocks);
  sys::close(top);
  return result;
}

bool mount_scratch_disk(Failure& failure) {
  // Nothing on it outlives the container: no barriers.
  long result = sys::mount(kScratchDisk, kWritable, "ext4", MS_NOATIME, "nobarrier");
  if (result < 0) return failure.set(result, "mount the scratch disk ", kScratchDisk);
  result = grow_scratch_disk();
  if (result < 0) return failure.set(result, "grow the scratch disk ", kScratchDisk);
  // Only now: without `init_itable` growing would write zeros over the new inode tables, and with
  // it a thread would do so afterwards; a new disk is zeros.
  result = sys::mount(nullptr, kWritable, nullptr, MS_REMOUNT | MS_NOATIME, "noinit_itable");
  return result == 0 || failure.set(result, "set up the scratch disk ", kScratchDisk);
}

bool mount_writable_layer(const ContainerRequest& container, Failure& failure) {
  if ((container.root.flags & RUNHV_ROOT_SCRATCH_DISK) != 0) return mount_scratch_disk(failure);
  const long result = sys::mount("tmpfs", kWritable, "tmpfs", 0, "mode=755");
  return result == 0 || failure.set(result, "mount tmpfs for the writable layer");
}

// An overlay shows the upper directory's own attributes as those of its root.
long copy_root_attributes() {
  struct stat status;
  long result = sys::fstatat(AT_FDCWD, kImage, &status, 0);
  if (result == 0) result = sys::fchownat(AT_FDCWD, kUpper, status.st_uid, status.st_gid, 0);
  if (result == 0) result = sys::fchmodat(AT_FDCWD, kUpper, status.st_mode & 07777);
  const timespec times[2] = {status.st_atim, status.st_mtim};
  if (result == 0) result = sys::utimensat(AT_FDCWD, kUpper, times, 0);
  return result;
}

long mount_share(const char* place) {
  return sys::mount(Text<64>(kShares).add(place).c_str(), kRoot, nullptr, MS_BIND, nullptr);
}

bool mount_image(const ContainerRequest& container, Failure& failure) {
  long result = sys::mount(container.root_device, kImage, container.root_type, MS_RDONLY, nullptr);
  if (result < 0) return failure.set(result, "mount the image ", container.root_device);
  if (!mount_writable_layer(container, failure)) return false;

  result = sys::mkdir(kUpper, 0755);
  if (result == 0) result = sys::mkdir(kWork, 0755);
  if (result < 0) return failure.set(result, "make the writable layer");
  result = copy_root_attributes();
  if (result < 0) return failure.set(result, "copy the attributes of the image's root");
  result = sys::mount("overlay", kRoot, "overlay", 0,
                      "lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work");
  return result == 0 || failure.set(result, "mount overlay");
}

}  // namespace

bool mount_shares(const ContainerRequest& container, Failure& failure) {
  if (!container.has_shares) return true;
  sys::mkdir(kShares, 0700);  // another container may have made it
  const long result = sys::mount(RUNHV_SHARES_TAG, kShares, "virtiofs", 0, nullptr);
  return result == 0 || failure.set(result, "mount the shared files of the host");
}

bool open_shares(const ContainerRequest& container, int& shares, Failure& failure) {
  if (!container.has_shares) return true;
  shares = sys::open(kShares, O_PATH | O_DIRECTORY);
  return shares >= 0 || failure.set(shares, "open the shared files of the host");
}

bool mount_root(const ContainerRequest& container, Failure& failure) {
  long result = sys::mount("dev", "/dev", "devtmpfs", 0, nullptr);
  if (result < 0) return failure.set(result, "mount devtmpfs on /dev of the agent");
  if ((container.root.flags & RUNHV_ROOT_SHARE) == 0) return mount_image(container, failure);
  result = mount_share(container.root_device);
  return result == 0 || failure.set(result, "mount the root folder");
}

bool put_root_on_top(Failure& failure) {
  // pivot_root does not work on an initramfs.
  const long result = sys::mount(kRoot, "/", nullptr, MS_MOVE, nullptr);
  return result == 0 || failure.set(result, "move the root to /");
}

bool enter_root(Failure& failure) {
  // Up onto what lies on "/" (path_lookup of Linux), where no path from there leads.
  long result = sys::chdir("/..");
  if (result == 0) result = sys::chroot(".");
  return result == 0 || failure.set(result, "enter the container's root");
}

bool finish_root(const ContainerRequest& container, Failure& failure) {
  if ((container.root.flags & RUNHV_ROOT_READONLY) != 0) {
    const long result =
        sys::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr);
    if (result < 0) return failure.set(result, "make the root read-only");
  }
  // Mounts of a new namespace without peers are slaves of nobody: 0 asks for nothing.
  if (container.root.propagation != 0) {
    const long result = sys::mount(nullptr, "/", nullptr, container.root.propagation, nullptr);
    if (result < 0) return failure.set(result, "set the propagation of the root");
  }
  return true;
}

}  // namespace runhv::agent
