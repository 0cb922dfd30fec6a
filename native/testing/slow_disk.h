// A disk that answers when a test lets it: each call that may wait does.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include "devices/blk/disk.h"

namespace runhv::testing {

// Threads: any.
class SlowDisk final : public devices::Disk {
 public:
  explicit SlowDisk(std::uint64_t size_bytes) : size_bytes_(size_bytes) {}

  std::uint64_t size_bytes() const override { return size_bytes_; }
  const std::string& name() const override { return name_; }
  Result<void> read_at(std::uint64_t, std::span<std::byte> out) const override {
    enter("read");
    std::memset(out.data(), 0x5a, out.size());
    return {};
  }
  bool read_at_once(std::uint64_t, std::span<std::byte>) const override { return false; }
  Result<void> write_at(std::uint64_t, std::span<const std::byte>) const override {
    enter("write");
    return {};
  }
  Result<void> flush() const override {
    enter("flush");
    return {};
  }

  // Until so many calls have come.
  void wait_for_calls(std::size_t count) const {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return calls_.size() >= count; });
  }
  std::vector<std::string> calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  // From now on no call waits, nor do those that wait now.
  void let_go() {
    const std::lock_guard lock(mutex_);
    hangs_ = false;
    changed_.notify_all();
  }

 private:
  void enter(const char* call) const {
    std::unique_lock lock(mutex_);
    calls_.emplace_back(call);
    changed_.notify_all();
    changed_.wait(lock, [this] { return !hangs_; });
  }

  const std::uint64_t size_bytes_;
  const std::string name_ = "a slow disk";
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable std::vector<std::string> calls_;
  bool hangs_ = true;
};

}  // namespace runhv::testing
