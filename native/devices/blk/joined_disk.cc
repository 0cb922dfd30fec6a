#include "devices/blk/joined_disk.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace runhv::devices {

Result<std::shared_ptr<const Disk>> JoinedDisk::create(
    std::vector<std::shared_ptr<const Disk>> parts) {
  RUNHV_CHECK(!parts.empty());
  std::shared_ptr<JoinedDisk> joined(new JoinedDisk(std::move(parts)));
  for (const std::shared_ptr<const Disk>& part : joined->parts_) {
    const std::uint64_t size = part->size_bytes();
    const std::uint64_t start = joined->starts_.back();
    if (size == 0 || size % kPartUnitBytes != 0 || size > INT64_MAX - start) {
      return Fail{Error{Code::kInvalidArgument, "use " + part->name() + " as a part of a disk",
                        "its size, " + std::to_string(size) +
                            " bytes, is no multiple of 4096, or more than a disk can have"}};
    }
    joined->starts_.push_back(start + size);
  }
  return std::shared_ptr<const Disk>(std::move(joined));
}

std::size_t JoinedDisk::part_at(std::uint64_t offset) const {
  return static_cast<std::size_t>(std::ranges::upper_bound(starts_, offset) - starts_.begin()) - 1;
}

Result<void> JoinedDisk::check_range(std::uint64_t offset, std::uint64_t size_bytes) const {
  if (offset <= this->size_bytes() && size_bytes <= this->size_bytes() - offset) return {};
  return Fail{Error{Code::kInvalidArgument, "read " + name(), "behind the end of its last part"}};
}

Result<void> JoinedDisk::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  RUNHV_TRY(check_range(offset, out.size()));
  for (std::size_t part = part_at(offset); !out.empty(); ++part) {
    const std::size_t count = std::min<std::uint64_t>(out.size(), starts_[part + 1] - offset);
    RUNHV_TRY(parts_[part]->read_at(offset - starts_[part], out.first(count)));
    offset += count;
    out = out.subspan(count);
  }
  return {};
}

bool JoinedDisk::read_at_once(std::uint64_t offset, std::span<std::byte> out) const {
  if (!check_range(offset, out.size())) return false;
  for (std::size_t part = part_at(offset); !out.empty(); ++part) {
    const std::size_t count = std::min<std::uint64_t>(out.size(), starts_[part + 1] - offset);
    if (!parts_[part]->read_at_once(offset - starts_[part], out.first(count))) return false;
    offset += count;
    out = out.subspan(count);
  }
  return true;
}

Result<void> JoinedDisk::write_at(std::uint64_t, std::span<const std::byte>) const {
  return Fail{Error{Code::kInvalidArgument, "write to " + name(), "its parts are others' too"}};
}

}  // namespace runhv::devices
