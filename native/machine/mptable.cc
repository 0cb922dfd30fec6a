#include "machine/mptable.h"

#include <algorithm>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "machine/memory_layout.h"

namespace runhv::machine {
namespace {

constexpr std::size_t kHeaderSize = 44;
constexpr std::size_t kChecksumOffset = 7;
constexpr std::uint8_t kSpecRevision = 4;  // 1.4
constexpr std::uint8_t kLocalApicVersion = 0x14;
constexpr std::uint8_t kIoApicVersion = 0x11;
constexpr std::uint8_t kEnabled = 1;
constexpr std::uint8_t kBootProcessor = 2;
constexpr std::uint8_t kIsaBus = 0;
constexpr std::uint8_t kAllLocalApics = 0xff;

// Entry types and interrupt types of §4.3.
enum Entry : std::uint8_t { kProcessor, kBus, kIoApic, kIoInterrupt, kLocalInterrupt };
enum InterruptType : std::uint8_t { kInt = 0, kNmi = 1, kExtInt = 3 };

// Appends to the table from its start.
class TableWriter {
 public:
  explicit TableWriter(std::span<std::byte> bytes) : bytes_(bytes) {}

  template <class T>
  void put(T value) {
    store_le(bytes_, size_, value);
    size_ += sizeof value;
  }
  void put_text(std::string_view text) {
    for (const char c : text) put(static_cast<std::uint8_t>(c));
  }
  void begin_entry(Entry type) {
    put<std::uint8_t>(type);
    ++entries_;
  }
  void put_interrupt(Entry entry, InterruptType type, std::uint8_t source_irq,
                     std::uint8_t destination, std::uint8_t pin) {
    begin_entry(entry);
    put<std::uint8_t>(type);
    put<std::uint16_t>(0);  // polarity and trigger: as the bus has it; ISA is edge, high
    put(kIsaBus);
    put(source_irq);
    put(destination);
    put(pin);
  }
  std::size_t size() const { return size_; }
  std::uint16_t entries() const { return entries_; }

 private:
  std::span<std::byte> bytes_;
  std::size_t size_ = 0;
  std::uint16_t entries_ = 0;
};

// The byte that makes all of `bytes` sum to zero (§4.1).
std::uint8_t checksum(std::span<const std::byte> bytes) {
  std::uint8_t sum = 0;
  for (const std::byte b : bytes) sum = static_cast<std::uint8_t>(sum + std::to_integer<int>(b));
  return static_cast<std::uint8_t>(-sum);
}

}  // namespace

void write_mp_table(std::uint32_t processor_count, std::uint32_t device_interrupts,
                    std::span<std::byte> ram) {
  RUNHV_CHECK(processor_count >= 1 && processor_count <= 64 && device_interrupts <= 64);
  const auto io_apic_id = static_cast<std::uint8_t>(processor_count);

  const auto table =
      ram.subspan(kMpTableAddress.value, kMpPointerAddress.value - kMpTableAddress.value);
  TableWriter writer(table);
  writer.put_text("PCMP");
  writer.put<std::uint16_t>(0);  // length, below
  writer.put(kSpecRevision);
  writer.put<std::uint8_t>(0);  // checksum, below
  writer.put_text("RUNHV   MICRO-VM    ");
  writer.put<std::uint32_t>(0);  // no OEM table
  writer.put<std::uint16_t>(0);
  writer.put<std::uint16_t>(0);  // entries, below
  writer.put(static_cast<std::uint32_t>(kLocalApicAddress.value));
  writer.put<std::uint32_t>(0);  // no extended table
  RUNHV_CHECK(writer.size() == kHeaderSize);

  for (std::uint32_t i = 0; i < processor_count; ++i) {
    writer.begin_entry(kProcessor);
    writer.put(static_cast<std::uint8_t>(i));
    writer.put(kLocalApicVersion);
    writer.put(static_cast<std::uint8_t>(kEnabled | (i == 0 ? kBootProcessor : 0)));
    writer.put<std::uint32_t>(0x600);  // family 6: CPUID has the truth
    writer.put<std::uint32_t>(0x201);  // FPU, APIC
    writer.put<std::uint64_t>(0);
  }
  writer.begin_entry(kBus);
  writer.put(kIsaBus);
  writer.put_text("ISA   ");
  writer.begin_entry(kIoApic);
  writer.put(io_apic_id);
  writer.put(kIoApicVersion);
  writer.put(kEnabled);
  writer.put(static_cast<std::uint32_t>(kIoApicAddress.value));
  for (std::uint32_t i = 1; i <= device_interrupts; ++i) {
    const auto interrupt = static_cast<std::uint8_t>(i);
    writer.put_interrupt(kIoInterrupt, kInt, interrupt, io_apic_id, interrupt);
  }
  writer.put_interrupt(kLocalInterrupt, kExtInt, 0, kAllLocalApics, 0);
  writer.put_interrupt(kLocalInterrupt, kNmi, 0, kAllLocalApics, 1);

  store_le(table, 4, static_cast<std::uint16_t>(writer.size()));
  store_le(table, 34, writer.entries());
  store_le(table, kChecksumOffset, checksum(table.first(writer.size())));

  const auto pointer = ram.subspan(kMpPointerAddress.value, 16);
  std::ranges::copy(as_bytes("_MP_"), pointer.begin());
  store_le(pointer, 4, static_cast<std::uint32_t>(kMpTableAddress.value));
  store_le<std::uint8_t>(pointer, 8, 1);  // length in 16 bytes
  store_le(pointer, 9, kSpecRevision);
  store_le(pointer, 10, checksum(pointer));
}

}  // namespace runhv::machine
