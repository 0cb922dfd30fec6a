#include "container/machine_config.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "devices/blk/joined_disk.h"
#include "platform/file.h"

namespace runhv::container {
namespace {

// A device costs each start its exits, and little memory is little to give back
// (docs/adr/0018-memory-that-comes-back.md).
constexpr std::uint64_t kLeastReportingBytes = 256ull << 20;

// A disk that is gone with the last handle of it: the template's file system at the beginning of a
// larger disk. The guest grows it.
Result<platform::File> make_scratch_disk(const std::string& template_path,
                                         std::uint64_t size_bytes) {
  if (template_path.empty()) {
    return Fail{Error{Code::kInvalidArgument, "make a scratch disk",
                      "dev.runhv.scratch needs the template share/runhv/scratch.ext4, and the "
                      "caller named none"}};
  }
  RUNHV_TRY_ASSIGN(const std::vector<std::byte> content,
                   platform::read_file(template_path, kScratchUnitBytes));
  RUNHV_TRY_ASSIGN(platform::File disk,
                   platform::File::create_anonymous(platform::temporary_directory(), size_bytes));
  RUNHV_TRY(disk.write_at(0, content));
  return disk;
}

Result<std::shared_ptr<const devices::Disk>> open_disk(const std::string& path) {
  RUNHV_TRY_ASSIGN(platform::File file, platform::File::open(path, platform::File::Access::kRead));
  // Of the store, perhaps: it removes nothing that is in use (docs/images.md).
  file.share();
  return std::shared_ptr<const devices::Disk>(
      std::make_shared<const devices::FileDisk>(std::move(file)));
}

Result<std::shared_ptr<const devices::Disk>> open_root(const VmShape& shape) {
  RUNHV_TRY_ASSIGN(std::shared_ptr<const devices::Disk> image, open_disk(shape.root_image));
  if (shape.root_layers.empty()) return image;
  std::vector<std::shared_ptr<const devices::Disk>> parts{std::move(image)};
  for (const std::string& layer : shape.root_layers) {
    RUNHV_TRY_ASSIGN(std::shared_ptr<const devices::Disk> part, open_disk(layer));
    parts.push_back(std::move(part));
  }
  return devices::JoinedDisk::create(std::move(parts));
}

std::vector<platform::OwnerRange> owners_of(const IdMap& map) {
  std::vector<platform::OwnerRange> ranges;
  for (const runhv_id_range& each : map) ranges.push_back({each.inside, each.outside, each.count});
  return ranges;
}

Result<platform::FileNode> open_share(const ShareSpec& share) {
  if (share.uid_map.empty()) return platform::FileNode::open(share.path);
  return platform::FileNode::open_mapped(share.path, share.cross_mounts,
                                         {.users = owners_of(share.uid_map),
                                          .groups = owners_of(share.gid_map),
                                          .of_tree = share.maps_tree});
}

}  // namespace

Result<machine::MachineConfig> machine_config(const ContainerConfig& config, const VmShape& shape,
                                              const std::vector<ShareSpec>& shares) {
  const bool engine_is_open = config.engine.empty() || config.engine == "auto";
  machine::MachineConfig machine;
  machine.engine = engine_is_open ? shape.engine : config.engine;
  if (machine.engine.empty()) machine.engine = "auto";
  machine.kernel_path = shape.kernel.empty() ? config.default_kernel : shape.kernel;
  for (const std::string& archive :
       {shape.initrd.empty() ? config.default_initrd : shape.initrd,
        shape.kernel.empty() ? config.default_modules : shape.modules}) {
    if (!archive.empty()) machine.initrd_paths.push_back(archive);
  }
  machine.extra_command_line = shape.kernel_parameters;
  machine.memory_bytes = shape.memory_bytes;
  machine.page_reporting = shape.memory_bytes >= kLeastReportingBytes;
  machine.processor_count = shape.processor_count;
  if (!shape.root_image.empty()) {
    RUNHV_TRY_ASSIGN(std::shared_ptr<const devices::Disk> image, open_root(shape));
    machine.disks.emplace_back(std::move(image), true);
  }
  if (shape.scratch_bytes != 0) {
    RUNHV_TRY_ASSIGN(platform::File scratch,
                     make_scratch_disk(config.default_scratch, shape.scratch_bytes));
    machine.disks.emplace_back(std::move(scratch), false);
  }
  for (const ShareSpec& share : shares) {
    RUNHV_TRY_ASSIGN(platform::FileNode top, open_share(share));
    machine.shares.push_back({std::move(top), share.read_only, share.cross_mounts});
  }
  machine.console = config.console;
  return machine;
}

}  // namespace runhv::container
