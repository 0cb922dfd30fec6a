// The guest's side for device tests: a little RAM, an interrupt line that counts, and a virtio
// driver that keeps to the rules unless a test makes it break them.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "devices/job_queue.h"
#include "devices/virtio/device.h"
#include "memory/guest_memory.h"
#include "platform/random.h"
#include "platform/worker.h"

namespace runhv::testing {

class FakeIrqLine final : public devices::IrqLine {
 public:
  void pulse() override { pulses.fetch_add(1); }
  std::atomic<int> pulses{0};
};

// Keeps jobs until a test runs them. Threads: any.
class HeldJobs final : public devices::JobQueue {
 public:
  bool post(std::function<void()> job) override;
  // The oldest, on this thread. False where there is none.
  bool run_one();
  void run_all();
  std::size_t size() const;
  // From now on post() is refused, as by a host without threads.
  void refuse() { refuses_ = true; }

 private:
  mutable std::mutex mutex_;
  std::deque<std::function<void()>> jobs_;
  std::atomic<bool> refuses_{false};
};

// Jobs on a thread of their own.
class WorkerJobs final : public devices::JobQueue {
 public:
  WorkerJobs();
  bool post(std::function<void()> job) override { return worker_->post(std::move(job)); }

 private:
  std::unique_ptr<platform::Worker> worker_;
};

// Bytes 1, 2, 3, …
class CountingRandomSource final : public platform::RandomSource {
 public:
  void fill(std::span<std::byte> out) override;

 private:
  std::uint8_t next_ = 1;
};

// Remembers that it was told.
class RecordingObserver final : public memory::MemoryWriteObserver {
 public:
  void written(Gpa first, std::uint64_t size_bytes) override;
  bool saw(Gpa address) const;

 private:
  struct Write {
    std::uint64_t first;
    std::uint64_t size;
  };
  std::vector<Write> writes_;
};

inline constexpr std::uint64_t kTestMemoryBytes = 8ull << 20;

// Where files are shown, if anywhere.
inline constexpr Gpa kTestWindow{1ull << 30};

// RAM at 0.
std::shared_ptr<memory::GuestMemory> make_guest_memory(
    memory::MemoryWriteObserver* observer = nullptr, std::uint64_t window_bytes = 0);

void put(const memory::GuestMemory& memory, Gpa at, std::span<const std::byte> bytes);
void put(const memory::GuestMemory& memory, Gpa at, std::string_view text);
std::vector<std::byte> get(const memory::GuestMemory& memory, Gpa at, std::size_t size);
std::string get_text(const memory::GuestMemory& memory, Gpa at, std::size_t size);

// xorshift64*: the same numbers for the same seed everywhere.
class SeededRandom {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed * 2 + 1) {}
  std::uint64_t next();
  // 0..limit - 1.
  std::uint64_t below(std::uint64_t limit) { return next() % limit; }
  bool one_in(std::uint64_t count) { return below(count) == 0; }

 private:
  std::uint64_t state_;
};

}  // namespace runhv::testing
