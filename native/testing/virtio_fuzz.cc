#include "testing/virtio_fuzz.h"

#include <array>
#include <optional>
#include <vector>

#include "devices/virtio/spec.h"
#include "testing/guest.h"
#include "testing/virtio_driver.h"

namespace runhv::testing {
namespace {

constexpr Gpa kRings{1 << 20};
constexpr std::uint64_t kBuffers = 2 << 20;
constexpr std::uint64_t kBufferBytes = 8192;
constexpr std::uint32_t kBufferCount = 64;
constexpr Gpa kTable{kBuffers - 4096};  // of indirect descriptors

class Run {
 public:
  Run(const HostileDriver& how, FuzzInput& input, devices::MmioTransport& transport,
      const memory::GuestMemory& memory)
      : how_(how),
        input_(input),
        transport_(transport),
        memory_(memory),
        driver_(transport, memory, kRings) {}

  void step() {
    const std::uint32_t what = input_.below(32);
    if (what == 0 || driver_.queue_count() == 0) return start();
    switch (what) {
      case 1:
        transport_.write(offset(), width(), value());
        break;
      case 2:
        (void)transport_.read(offset(), width());
        break;
      case 3:
        transport_.write(4 * input_.below(0x40), 4, value());
        break;
      case 4:
        change_queue_register();
        break;
      case 5:
        transport_.write(devices::virtio::mmio::kStatus, 4, 0);  // whatever is on its way
        break;
      case 6:
        transport_.write(devices::virtio::mmio::kQueueNotify, 4, input_.below(4));
        break;
      case 7:
        queue().write_descriptor(number(), descriptor());
        break;
      case 8:
        queue().write_avail_idx(input_.take<std::uint16_t>());
        break;
      case 9:
        queue().offer(number());
        break;
      case 10:
        write_table_entry();
        break;
      case 11:
        (void)driver_.take_interrupt_status();
        break;
      case 12:
      case 13:
        how_.something_else(input_);
        break;
      case 14:
        start_again_where_broken();
        break;
      case 15:
        // Refused where a chain is at work.
        if (input_.below(2) == 0) {
          (void)transport_.pause(0);
        } else {
          transport_.resume();
        }
        break;
      default:
        send_requests();
        break;
    }
  }

 private:
  void start() {
    const bool all = input_.below(4) != 0;
    (void)driver_.start(all ? UINT64_MAX : input_.take<std::uint64_t>());
  }

  void start_again_where_broken() {
    const std::uint64_t status = transport_.read(devices::virtio::mmio::kStatus, 4);
    if ((status & devices::virtio::kStatusNeedsReset) != 0 ||
        (status & devices::virtio::kStatusDriverOk) == 0) {
      start();
    }
  }

  std::uint64_t offset() { return input_.take<std::uint16_t>() % 0x210; }
  unsigned width() { return 1u << input_.below(4); }

  std::uint64_t value() {
    switch (input_.below(4)) {
      case 0:
        return input_.below(16);
      case 1:
        return std::uint64_t{1} << input_.below(32);
      case 2:
        return kRings.value + 16 * input_.take<std::uint16_t>();
      default:
        return input_.take<std::uint64_t>();
    }
  }

  void change_queue_register() {
    using namespace devices::virtio::mmio;
    constexpr std::array<std::uint32_t, 8> kRegisters{
        kQueueNum,       kQueueReady,      kQueueDescLow,   kQueueDescHigh,
        kQueueDriverLow, kQueueDriverHigh, kQueueDeviceLow, kQueueDeviceHigh};
    transport_.write(kQueueSel, 4, input_.below(4));
    transport_.write(kRegisters[input_.below(kRegisters.size())], 4, value());
  }

  DriverQueue& queue() {
    return driver_.queue(input_.below(static_cast<std::uint32_t>(driver_.queue_count())));
  }

  std::uint16_t number() { return input_.byte(); }

  // Mostly a buffer of its own, so that requests can be right; else anywhere: another buffer, the
  // rings, the end of memory, beyond it.
  std::uint64_t address() {
    const std::uint8_t where = input_.byte();
    switch (where) {
      case 0xff:
        return input_.take<std::uint64_t>();
      case 0xfe:
        return kTestMemoryBytes - input_.byte();
      case 0xfd:
        return kRings.value + input_.take<std::uint32_t>() % (256 * 1024);
      case 0xfc:
        return kTable.value + 16 * input_.below(64);
      case 0xfb:
        return UINT64_MAX - input_.take<std::uint16_t>();
      case 0xfa:
        return kBuffers + input_.take<std::uint16_t>();
      default:
        return kBuffers + kBufferBytes * (where % kBufferCount);
    }
  }

  std::uint32_t size() {
    constexpr std::array<std::uint32_t, 8> kSizes{1, 16, 44, 60, 512, 1024, 4096, 8000};
    const std::uint8_t which = input_.byte();
    if (which == 0xff) return input_.take<std::uint32_t>();
    if (which == 0xfe) return input_.take<std::uint16_t>();
    return kSizes[which % kSizes.size()];
  }

  RawDescriptor descriptor() {
    return {.address = address(),
            .size = size(),
            .flags = input_.below(8) == 7 ? input_.take<std::uint16_t>()
                                          : static_cast<std::uint16_t>(input_.below(8)),
            .next = number()};
  }

  void write_table_entry() {
    const Gpa at{kTable.value + devices::virtio::kDescBytes * input_.below(64)};
    const RawDescriptor entry = descriptor();
    std::array<std::byte, devices::virtio::kDescBytes> bytes;
    store_le(bytes, 0, entry.address);
    store_le(bytes, 8, entry.size);
    store_le(bytes, 12, entry.flags);
    store_le(bytes, 14, entry.next);
    put(memory_, at, bytes);
  }

  // Mostly well-formed: readable parts, then writable ones.
  void send_requests() {
    DriverQueue& to = queue();
    for (std::uint32_t left = input_.below(4) + 1; left > 0; --left) {
      const std::uint8_t shape = input_.byte();
      const unsigned readable = shape & 3;
      const unsigned writable = (shape >> 2 & 3) + (readable == 0 ? 1 : 0);
      std::vector<Buffer> buffers;
      for (unsigned i = 0; i < readable + writable; ++i) {
        buffers.push_back({Gpa{address()}, size(), i >= readable});
        if (i == 0 && readable > 0) fill(buffers.back());
      }
      if ((shape >> 4 & 3) == 0) {
        (void)to.add_indirect(buffers, kTable);
      } else {
        (void)to.add(buffers);
      }
    }
    to.force_kick();
  }

  void fill(const Buffer& buffer) {
    const auto view = memory_.write_view(buffer.address, buffer.size);
    if (view) how_.make_request(input_, *view);
  }

  const HostileDriver& how_;
  FuzzInput& input_;
  devices::MmioTransport& transport_;
  const memory::GuestMemory& memory_;
  VirtioDriver driver_;
};

}  // namespace

void HostileDriver::run(FuzzInput& input, devices::MmioTransport& transport,
                        const memory::GuestMemory& memory) const {
  Run run(*this, input, transport, memory);
  while (!input.empty()) run.step();
  transport.resume();
}

}  // namespace runhv::testing
