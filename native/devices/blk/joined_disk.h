// Disks behind one another, to be read as one: an image whose parts are files that others share.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "devices/blk/disk.h"

namespace runhv::devices {

class JoinedDisk final : public Disk {
 public:
  // The first byte of a part is the next one after the last of the part before it, so that a block
  // of a file system lies in one part: each has a whole number of these.
  static constexpr std::uint64_t kPartUnitBytes = 4096;

  // At least one part. Errors: a part that is empty or no multiple of kPartUnitBytes, or all of
  // them together more than 2^63 - 1 bytes.
  static Result<std::shared_ptr<const Disk>> create(std::vector<std::shared_ptr<const Disk>> parts);

  std::uint64_t size_bytes() const override { return starts_.back(); }
  const std::string& name() const override { return parts_.front()->name(); }
  Result<void> read_at(std::uint64_t offset, std::span<std::byte> out) const override;
  bool read_at_once(std::uint64_t offset, std::span<std::byte> out) const override;
  // An error: whoever else has a part would see it.
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> in) const override;
  Result<void> flush() const override { return {}; }

 private:
  explicit JoinedDisk(std::vector<std::shared_ptr<const Disk>> parts) : parts_(std::move(parts)) {}
  std::size_t part_at(std::uint64_t offset) const;
  Result<void> check_range(std::uint64_t offset, std::uint64_t size_bytes) const;

  const std::vector<std::shared_ptr<const Disk>> parts_;
  // Where each part begins, and behind them the end of the last.
  std::vector<std::uint64_t> starts_{0};
};

}  // namespace runhv::devices
