#include "testing/guest.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace runhv::testing {

bool HeldJobs::post(std::function<void()> job) {
  if (refuses_) return false;
  const std::lock_guard lock(mutex_);
  jobs_.push_back(std::move(job));
  return true;
}

bool HeldJobs::run_one() {
  std::function<void()> job;
  {
    const std::lock_guard lock(mutex_);
    if (jobs_.empty()) return false;
    job = std::move(jobs_.front());
    jobs_.pop_front();
  }
  job();
  return true;
}

void HeldJobs::run_all() {
  while (run_one()) {
  }
}

std::size_t HeldJobs::size() const {
  const std::lock_guard lock(mutex_);
  return jobs_.size();
}

WorkerJobs::WorkerJobs() {
  auto worker = platform::Worker::create("test");
  RUNHV_CHECK(worker);
  worker_ = *std::move(worker);
}

void CountingRandomSource::fill(std::span<std::byte> out) {
  for (std::byte& byte : out) byte = std::byte{next_++};
}

void RecordingObserver::written(Gpa first, std::uint64_t size_bytes) {
  writes_.push_back({first.value, size_bytes});
}

bool RecordingObserver::saw(Gpa address) const {
  return std::any_of(writes_.begin(), writes_.end(), [&](const Write& write) {
    return address.value >= write.first && address.value - write.first < write.size;
  });
}

std::shared_ptr<memory::GuestMemory> make_guest_memory(memory::MemoryWriteObserver* observer,
                                                       std::uint64_t window_bytes) {
  auto region = platform::MemoryRegion::reserve(kTestMemoryBytes);
  RUNHV_CHECK(region);
  std::vector<memory::GuestRange> ranges;
  ranges.push_back({Gpa{0}, *std::move(region)});
  if (window_bytes != 0) {
    auto window = platform::MemoryRegion::reserve(window_bytes);
    RUNHV_CHECK(window);
    ranges.push_back({kTestWindow, *std::move(window), true});
  }
  auto memory = memory::GuestMemory::create(std::move(ranges), observer);
  RUNHV_CHECK(memory);
  return *std::move(memory);
}

void put(const memory::GuestMemory& memory, Gpa at, std::span<const std::byte> bytes) {
  const auto view = memory.write_view(at, bytes.size());
  RUNHV_CHECK(view);
  std::memcpy(view->data(), bytes.data(), bytes.size());
}

void put(const memory::GuestMemory& memory, Gpa at, std::string_view text) {
  put(memory, at, as_bytes(text));
}

std::vector<std::byte> get(const memory::GuestMemory& memory, Gpa at, std::size_t size) {
  const auto view = memory.read_view(at, size);
  RUNHV_CHECK(view);
  return {view->begin(), view->end()};
}

std::string get_text(const memory::GuestMemory& memory, Gpa at, std::size_t size) {
  const auto view = memory.read_view(at, size);
  RUNHV_CHECK(view);
  std::string text(size, '\0');
  std::memcpy(text.data(), view->data(), size);
  return text;
}

std::uint64_t SeededRandom::next() {
  state_ ^= state_ >> 12;
  state_ ^= state_ << 25;
  state_ ^= state_ >> 27;
  return state_ * 0x2545f4914f6cdd1dull;
}

}  // namespace runhv::testing
