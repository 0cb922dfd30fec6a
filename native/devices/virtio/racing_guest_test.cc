// A guest with two processors: one keeps the device busy, the other changes whatever the device
// reads meanwhile. Guest memory is shared by its nature; what counts is that each number is read
// once and then checked, and that nothing outside guest memory is touched.

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/check.h"
#include "devices/blk/blk.h"
#include "devices/console/console.h"
#include "devices/rng/rng.h"
#include "devices/virtio/spec.h"
#include "gtest/gtest.h"
#include "testing/guest.h"
#include "testing/later_device.h"
#include "testing/virtio_driver.h"
#include "testing/vsock_guest.h"

namespace runhv::devices {
namespace {

using testing::Buffer;

constexpr Gpa kRings{1 << 20};
constexpr Gpa kHeader{2 << 20};
constexpr Gpa kData{4 << 20};
constexpr Gpa kTable{6 << 20};
constexpr int kRounds = 3000;

// Writes numbers that nearly fit into the rings and the buffers of the first queues, until told.
class SecondProcessor {
 public:
  explicit SecondProcessor(const memory::GuestMemory& memory)
      : memory_(memory), thread_([this] { run(); }) {}
  ~SecondProcessor() {
    stop_ = true;
    thread_.join();
  }

 private:
  void run() {
    testing::SeededRandom random(11);
    while (!stop_) {
      const std::uint64_t queue = random.below(3) * 0x10000;
      switch (random.below(5)) {
        case 0:  // an address of a descriptor
          store<std::uint64_t>(
              kRings.value + queue + 16 * random.below(64),
              random.one_in(8) ? random.next() : kData.value + random.next() % 9000);
          break;
        case 1:  // size, flags, next
          store<std::uint64_t>(kRings.value + queue + 16 * random.below(64) + 8,
                               random.one_in(8) ? random.next()
                                                : random.below(5000) | random.below(8) << 32 |
                                                      random.below(70) << 48);
          break;
        case 2:  // the available ring
          store<std::uint16_t>(kRings.value + queue + 0x4000 + 2 * random.below(70),
                               static_cast<std::uint16_t>(random.below(70)));
          break;
        case 3:  // a header, a table
          store<std::uint64_t>(kHeader.value + 8 * random.below(6), random.next());
          break;
        default:
          store<std::uint64_t>(kTable.value + 8 * random.below(8),
                               random.one_in(2) ? random.next() : kData.value);
          break;
      }
    }
  }
  // Unseen by ThreadSanitizer, as a guest is: nothing orders it with the host, and what was stored
  // long ago would be reported without a stack, which no suppression matches.
  template <class T>
  [[gnu::no_sanitize("thread")]] void store(std::uint64_t at, std::uint64_t value) {
    const auto view = memory_.write_view(Gpa{at}, sizeof(T));
    RUNHV_CHECK(view);
    __atomic_store_n(reinterpret_cast<T*>(view->data()), static_cast<T>(value), __ATOMIC_RELAXED);
  }

  const memory::GuestMemory& memory_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// How many of the rounds the device answered. `running`: held while the guest's first processor
// runs; `pause`: what it waits for between two rounds.
int race(MmioTransport& transport, const memory::GuestMemory& memory, std::uint16_t queue,
         std::span<const Buffer> buffers, std::mutex& running, const std::function<void()>& pause) {
  testing::VirtioDriver driver(transport, memory, kRings);
  int answered = 0;
  const SecondProcessor second(memory);
  for (int round = 0; round < kRounds; ++round) {
    pause();
    const std::lock_guard lock(running);
    const std::uint32_t status = driver.read(virtio::mmio::kStatus);
    if ((status & virtio::kStatusDriverOk) == 0 || (status & virtio::kStatusNeedsReset) != 0 ||
        round % 500 == 499) {
      driver.reset();
      EXPECT_TRUE(driver.start(UINT64_MAX)) << round;
    }
    if (round % 3 == 0) {
      driver.queue(queue).add_indirect(buffers, kTable);
    } else {
      driver.queue(queue).add(buffers);
    }
    driver.queue(queue).force_kick();
    while (driver.queue(queue).take_used()) ++answered;
  }
  return answered;
}

int race(MmioTransport& transport, const memory::GuestMemory& memory, std::uint16_t queue,
         std::span<const Buffer> buffers) {
  std::mutex running;
  return race(transport, memory, queue, buffers, running, [] {});
}

TEST(RacingGuest, CannotHarmTheEntropyDevice) {
  const auto memory = testing::make_guest_memory();
  testing::CountingRandomSource random;
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  MmioTransport transport(std::make_unique<RngDevice>(random), memory, irq, later);
  const std::array<Buffer, 2> buffers{Buffer{kData, 64, true}, Buffer{kData, 100, true}};

  EXPECT_GT(race(transport, *memory, 0, buffers), 0);
  EXPECT_TRUE(testing::VirtioDriver(transport, *memory, kRings).start(UINT64_MAX));
}

TEST(RacingGuest, CannotHarmTheBlockDevice) {
  const auto memory = testing::make_guest_memory();
  auto file = platform::File::create_anonymous(::testing::TempDir(), 64 * 512);
  ASSERT_TRUE(file);
  testing::WorkerJobs jobs;
  auto device =
      BlkDevice::create(std::make_shared<FileDisk>(*std::move(file)), false, "race", jobs);
  ASSERT_TRUE(device);
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  MmioTransport transport(*std::move(device), memory, irq, later);
  const std::array<Buffer, 3> buffers{Buffer{kHeader, 16, false}, Buffer{kData, 512, true},
                                      Buffer{kData, 1, true}};

  EXPECT_GT(race(transport, *memory, 0, buffers), 0);
  testing::VirtioDriver driver(transport, *memory, kRings);
  driver.reset();
  EXPECT_TRUE(driver.start(UINT64_MAX));
}

// Two workers finish chains while the guest asks, resets and changes its rings, and the host
// changes the configuration and pauses.
TEST(RacingGuest, CannotHarmADeviceThatFinishesLater) {
  const auto memory = testing::make_guest_memory();
  testing::LaterWork work;
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  MmioTransport transport(std::make_unique<testing::LaterDevice>(work), memory, irq, later);
  const std::array<Buffer, 1> buffers{Buffer{kData, 64, true}};
  std::atomic<bool> over{false};
  std::mutex running;
  std::vector<std::thread> threads;
  for (std::size_t taken = 0; taken < 2; ++taken) {
    threads.emplace_back([&, taken] {
      while (!over || work.size() > 0) {
        if (!work.serve(taken) && !work.serve(std::size_t{0})) std::this_thread::yield();
      }
    });
  }
  threads.emplace_back([&] {
    for (int round = 0; !over; ++round) {
      work.set_config(static_cast<std::byte>(round));
      {
        const std::lock_guard lock(running);
        if (transport.pause(round % 2 == 0 ? UINT64_MAX : 0)) transport.resume();
      }
      std::this_thread::yield();
    }
  });

  EXPECT_GT(race(transport, *memory, 0, buffers, running,
                 [&] {
                   while (work.size() > 8) std::this_thread::yield();
                 }),
            0);

  testing::VirtioDriver driver(transport, *memory, kRings);
  over = true;
  driver.reset();
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(driver.start(UINT64_MAX));
  driver.queue(0).add(buffers);
  driver.queue(0).force_kick();
  EXPECT_TRUE(work.serve(std::size_t{0}));
  EXPECT_TRUE(driver.queue(0).take_used());
}

class CountingSink final : public ConsoleSink {
 public:
  void write(std::span<const std::byte> text) override { bytes += text.size(); }
  std::size_t bytes = 0;
};

TEST(RacingGuest, CannotHarmTheConsole) {
  const auto memory = testing::make_guest_memory();
  CountingSink sink;
  testing::FakeIrqLine irq;
  testing::HeldJobs later;
  MmioTransport transport(std::make_unique<ConsoleDevice>(sink), memory, irq, later);
  const std::array<Buffer, 2> buffers{Buffer{kData, 80, false}, Buffer{kHeader, 20, false}};

  EXPECT_GT(race(transport, *memory, 1, buffers), 0);
  EXPECT_GT(sink.bytes, 0u);
  EXPECT_TRUE(testing::VirtioDriver(transport, *memory, kRings).start(UINT64_MAX));
}

TEST(RacingGuest, CannotHarmVsock) {
  testing::ScriptedService service;
  service.next.to_send = std::string(1000, 's');
  testing::VsockGuest guest(service);
  testing::put(*guest.memory, kHeader, store_vsock_header(guest.header(VsockOp::kRequest)));
  const std::array<Buffer, 2> buffers{Buffer{kHeader, kVsockHeaderBytes, false},
                                      Buffer{kData, 200, false}};

  EXPECT_GT(race(guest.transport, *guest.memory, 1, buffers), 0);
  guest.start(8);
  EXPECT_TRUE(guest.connect());
}

}  // namespace
}  // namespace runhv::devices
