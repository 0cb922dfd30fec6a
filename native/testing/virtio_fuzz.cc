#include "testing/virtio_fuzz.h"

#include <array>
#include <vector>

#include "base/check.h"
#include "devices/virtio/spec.h"
#include "testing/virtio_driver.h"

namespace runhv::testing {
namespace {

constexpr Gpa kRings{1 << 20};
constexpr std::uint64_t kBuffers = 2 << 20;
constexpr std::uint64_t kBufferBytes = 8192;
constexpr std::uint64_t kBufferCount = 64;
constexpr std::size_t kMaxQueues = 3;

class HostileDriver {
 public:
  HostileDriver(MmioTransport& transport, const GuestMemory& memory, std::uint64_t seed,
                const RequestMaker& make_request)
      : transport_(transport),
        memory_(memory),
        random_(seed),
        make_request_(make_request),
        driver_(transport, memory, kRings) {}

  void step() {
    const std::uint64_t status = transport_.read(virtio::mmio::kStatus, 4);
    const bool broken = (status & virtio::kStatusNeedsReset) != 0;
    if (!started_ || (broken && random_.one_in(2))) {
      // Most steps should meet a device that runs.
      started_ = driver_.start(random_.one_in(2) ? UINT64_MAX : random_.next());
      return;
    }
    switch (random_.below(16)) {
      case 0:
        started_ = driver_.start(random_.one_in(2) ? UINT64_MAX : random_.next());
        break;
      case 1:
      case 2:
        transport_.write(random_.below(0x210), random_width(), random_value());
        break;
      case 3:
        (void)transport_.read(random_.below(0x210), random_width());
        break;
      case 4:
        transport_.write(4 * random_.below(0x40), 4, random_value());
        break;
      case 5:
        if (random_.one_in(4)) break_ring();
        break;
      default:
        send_request();
        break;
    }
  }

  bool start_as_it_should_be() { return driver_.start(UINT64_MAX); }

 private:
  unsigned random_width() { return 1u << random_.below(4); }

  std::uint64_t random_value() {
    switch (random_.below(4)) {
      case 0:
        return random_.below(16);
      case 1:
        return std::uint64_t{1} << random_.below(32);
      case 2:
        return kRings.value + 16 * random_.below(4096);
      default:
        return random_.next();
    }
  }

  DriverQueue& random_queue() {
    std::size_t count = 0;
    while (count < kMaxQueues && queue_exists(count)) ++count;
    RUNHV_CHECK(count > 0);
    return driver_.queue(random_.below(count));
  }

  bool queue_exists(std::size_t index) {
    transport_.write(virtio::mmio::kQueueSel, 4, index);
    return transport_.read(virtio::mmio::kQueueNumMax, 4) != 0;
  }

  std::uint64_t random_address() {
    if (random_.one_in(200)) return random_.next();
    if (random_.one_in(200)) return kTestMemoryBytes - random_.below(64);
    return kBuffers + kBufferBytes * random_.below(kBufferCount) + random_.below(64);
  }

  std::uint32_t random_size() {
    if (random_.one_in(200)) return static_cast<std::uint32_t>(random_.next());
    constexpr std::array<std::uint32_t, 8> kSizes{1, 16, 60, 512, 1024, 4096, 4096, 8000};
    return kSizes[random_.below(kSizes.size())];
  }

  // Mostly well-formed: readable parts, then writable ones.
  void send_request() {
    DriverQueue& queue = random_queue();
    for (std::uint64_t left = random_.below(6) + 1; left > 0; --left) {
      std::vector<Buffer> buffers;
      const std::uint64_t readable = random_.below(4);
      const std::uint64_t writable = random_.below(3) + (readable == 0 ? 1 : 0);
      for (std::uint64_t i = 0; i < readable + writable; ++i) {
        buffers.push_back({Gpa{random_address()}, random_size(), i >= readable});
        if (i < readable) fill(buffers.back(), i == 0);
      }
      if (random_.one_in(3)) {
        (void)queue.add_indirect(buffers, Gpa{kBuffers - 4096});
      } else {
        (void)queue.add(buffers);
      }
    }
    if (random_.one_in(2)) {
      (void)queue.kick();
    } else {
      queue.force_kick();
    }
  }

  void fill(const Buffer& buffer, bool first) {
    const auto view = memory_.view(buffer.address, buffer.size);
    if (!view || !first) return;
    make_request_(random_, *view);
  }

  void break_ring() {
    DriverQueue& queue = random_queue();
    const auto number = static_cast<std::uint16_t>(random_.below(queue.size() * 2u));
    switch (random_.below(3)) {
      case 0:
        queue.write_descriptor(static_cast<std::uint16_t>(number % queue.size()),
                               {.address = random_address(),
                                .size = random_size(),
                                .flags = static_cast<std::uint16_t>(random_.below(8)),
                                .next = static_cast<std::uint16_t>(random_.next())});
        break;
      case 1:
        queue.write_avail_idx(static_cast<std::uint16_t>(random_.next()));
        break;
      default:
        queue.offer(number);
        break;
    }
    queue.force_kick();
  }

  MmioTransport& transport_;
  const GuestMemory& memory_;
  SeededRandom random_;
  const RequestMaker& make_request_;
  VirtioDriver driver_;
  bool started_ = false;
};

}  // namespace

bool fuzz_device(MmioTransport& transport, const GuestMemory& memory, std::uint64_t seed,
                 unsigned steps, const RequestMaker& make_request) {
  HostileDriver driver(transport, memory, seed, make_request);
  for (; steps > 0; --steps) driver.step();
  return driver.start_as_it_should_be();
}

}  // namespace runhv::testing
