// What a block device shows: bytes that may take their time.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "base/result.h"
#include "platform/file.h"

namespace runhv::devices {

// Requests of the guest that were done, and the bytes of their data.
struct DiskCounts {
  std::uint64_t reads = 0;
  std::uint64_t read_bytes = 0;
  std::uint64_t writes = 0;
  std::uint64_t written_bytes = 0;
  std::uint64_t flushes = 0;
};

// Threads: any, at once. A call may take as long as the host likes, unless it says otherwise.
class Disk {
 public:
  virtual ~Disk() = default;
  virtual std::uint64_t size_bytes() const = 0;  // never changes
  // For errors.
  virtual const std::string& name() const = 0;

  // All of `out`, which is guest memory: written, not read back.
  virtual Result<void> read_at(std::uint64_t offset, std::span<std::byte> out) const = 0;
  // The same where nothing has to be waited for. False: it would have to, and `out` may be written
  // in part.
  virtual bool read_at_once(std::uint64_t offset, std::span<std::byte> out) const = 0;
  virtual Result<void> write_at(std::uint64_t offset, std::span<const std::byte> in) const = 0;
  // What was written before outlives the host's end.
  virtual Result<void> flush() const = 0;
};

class FileDisk final : public Disk {
 public:
  explicit FileDisk(platform::File file) : file_(std::move(file)) {}
  std::uint64_t size_bytes() const override { return file_.size_bytes(); }
  const std::string& name() const override { return file_.path(); }
  Result<void> read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    return file_.read_at(offset, out);
  }
  bool read_at_once(std::uint64_t offset, std::span<std::byte> out) const override {
    return file_.read_cached(offset, out);
  }
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> in) const override {
    return file_.write_at(offset, in);
  }
  Result<void> flush() const override { return file_.flush(); }

 private:
  const platform::File file_;
};

}  // namespace runhv::devices
