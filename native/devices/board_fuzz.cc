// The I/O APIC, the clock and the exit port on their buses, under any accesses.

#include "base/check.h"
#include "devices/bus.h"
#include "devices/exitport/exit_port.h"
#include "devices/ioapic/ioapic.h"
#include "devices/rtc/rtc.h"
#include "testing/fuzz.h"

namespace runhv::devices {
namespace {

constexpr std::size_t kPins = 5;

struct Sink final : InterruptSink {
  void request(const ApicMessage&) override { ++messages; }
  std::uint64_t messages = 0;
};

struct Events final : ExitPortEvents {
  void on_power_off() override { ++power_offs; }
  void on_stage(std::uint8_t) override {}
  std::uint64_t power_offs = 0;
};

}  // namespace
}  // namespace runhv::devices

void runhv::testing::fuzz(std::span<const std::byte> bytes) {
  testing::FuzzInput input(bytes);
  devices::Sink sink;
  devices::Events events;
  devices::IoApic io_apic(1, devices::kPins, sink);
  std::uint64_t now_ns = 0;
  devices::Rtc rtc([&] { return now_ns; });
  devices::ExitPort exit_port(events);
  devices::Bus ports;
  devices::Bus mmio;
  RUNHV_CHECK(mmio.add(devices::IoApic::kDefaultAddress, devices::IoApic::kSizeBytes, io_apic));
  RUNHV_CHECK(ports.add(devices::Rtc::kFirstPort, devices::Rtc::kPortCount, rtc));
  RUNHV_CHECK(ports.add(devices::ExitPort::kFirstPort, devices::ExitPort::kPortCount, exit_port));

  while (!input.empty()) {
    const std::uint64_t before = sink.messages;
    const unsigned width = 1u << input.below(4);
    switch (input.below(8)) {
      case 0:
        (void)ports.read(input.take<std::uint16_t>(), width);
        break;
      case 1: {
        const std::uint16_t port = static_cast<std::uint16_t>(0x70 + input.byte());
        ports.write(port, width, input.take<std::uint64_t>());
        break;
      }
      case 2: {
        ports.write(devices::Rtc::kFirstPort, 1, input.byte());
        now_ns = input.take<std::uint64_t>() >> 1;
        RUNHV_CHECK(ports.read(devices::Rtc::kFirstPort + 1, 1) <= 0xff);
        break;
      }
      case 3:
        (void)mmio.read(devices::IoApic::kDefaultAddress + input.take<std::uint16_t>(), width);
        break;
      case 4: {
        const std::uint64_t offset = input.below(2) * 0x10ull;
        mmio.write(devices::IoApic::kDefaultAddress + offset, 4, input.take<std::uint64_t>());
        break;
      }
      case 5: {
        const std::uint64_t address =
            devices::IoApic::kDefaultAddress + input.take<std::uint16_t>() - 64;
        mmio.write(address, width, input.take<std::uint64_t>());
        break;
      }
      case 6:
        io_apic.line(input.below(devices::kPins)).pulse();
        break;
      default:
        io_apic.end_of_interrupt(input.byte());
        break;
    }
    RUNHV_CHECK(sink.messages - before <= devices::kPins);
  }

  // Whatever was done to it: pin 2, programmed anew, sends its edge, and only that.
  const auto program = [&](std::uint32_t index, std::uint32_t value) {
    mmio.write(devices::IoApic::kDefaultAddress, 4, index);
    mmio.write(devices::IoApic::kDefaultAddress + 0x10, 4, value);
  };
  program(0x15, 0);
  program(0x14, 0x31);
  const std::uint64_t before = sink.messages;
  io_apic.line(2).pulse();
  RUNHV_CHECK(sink.messages == before + 1);
  const std::uint64_t off_before = events.power_offs;
  ports.write(devices::ExitPort::kFirstPort, 1, 0);
  RUNHV_CHECK(events.power_offs == off_before + 1);
}
