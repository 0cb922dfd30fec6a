#include "machine/boot_params.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "machine/machine.h"

namespace runhv::machine {
namespace {

// Offsets in struct boot_params (boot protocol 2.15; Documentation/arch/x86/zero-page.rst).
constexpr std::size_t kAcpiPointer = 0x70;
constexpr std::size_t kE820Count = 0x1e8;
constexpr std::size_t kBootFlag = 0x1fe;
constexpr std::size_t kHeaderMagic = 0x202;
constexpr std::size_t kHeaderVersion = 0x206;
constexpr std::size_t kTypeOfLoader = 0x210;
constexpr std::size_t kLoadFlags = 0x211;
constexpr std::size_t kRamdiskImage = 0x218;
constexpr std::size_t kRamdiskSize = 0x21c;
constexpr std::size_t kCommandLinePointer = 0x228;
constexpr std::size_t kCommandLineSize = 0x238;
constexpr std::size_t kE820Table = 0x2d0;
constexpr std::size_t kE820EntrySize = 20;

constexpr std::uint32_t kE820Ram = 1;
constexpr std::uint32_t kE820Reserved = 2;

constexpr std::uint64_t kPresent = 1;
constexpr std::uint64_t kWritable = 2;
constexpr std::uint64_t kLargePage = 0x80;
constexpr std::uint64_t kLargePageSize = 2u << 20;

class E820Table {
 public:
  explicit E820Table(std::span<std::byte> zero_page) : zero_page_(zero_page) {}

  void add(Gpa start, std::uint64_t size, std::uint32_t type) {
    const std::size_t at = kE820Table + count_ * kE820EntrySize;
    store_le<std::uint64_t>(zero_page_, at, start.value);
    store_le<std::uint64_t>(zero_page_, at + 8, size);
    store_le<std::uint32_t>(zero_page_, at + 16, type);
    store_le<std::uint8_t>(zero_page_, kE820Count, ++count_);
  }

 private:
  std::span<std::byte> zero_page_;
  std::uint8_t count_ = 0;
};

Result<void> check_command_line(const std::string& command_line, const LoadedKernel& kernel) {
  const std::string operation = "use kernel command line";
  const std::uint64_t most =
      std::min<std::uint64_t>(MachineLimits::kMaxCommandLineBytes - 1, kernel.command_line_bytes);
  if (command_line.size() > most) {
    return Fail{Error{
        Code::kInvalidArgument, operation,
        std::to_string(command_line.size()) + " bytes; at most " + std::to_string(most) + " fit"}};
  }
  const bool has_control = std::ranges::any_of(
      command_line, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; });
  if (has_control) {
    return Fail{Error{Code::kInvalidArgument, operation, "it holds a control character"}};
  }
  return {};
}

}  // namespace

Result<LoadedInitrd> load_initrd(std::span<const platform::File> archives,
                                 const LoadedKernel& kernel, std::span<std::byte> ram) {
  constexpr std::uint64_t kAlignment = 4;
  std::uint64_t size = 0;
  std::string operation = "load initrd";
  for (const platform::File& archive : archives) {
    operation += " " + archive.path();
    if (archive.size_bytes() > MachineLimits::kMaxInitrdBytes - size) {
      return Fail{
          Error{Code::kCorruptInput, operation,
                "larger than " + std::to_string(MachineLimits::kMaxInitrdBytes >> 20) + " MiB"}};
    }
    size += (archive.size_bytes() + kAlignment - 1) & ~(kAlignment - 1);
  }
  const std::uint64_t end = std::min<std::uint64_t>(ram.size(), kernel.initrd_end);
  const std::uint64_t address = size > end ? 0 : (end - size) & ~(kPageSize - 1);
  if (address < kernel.end.value) {
    return Fail{Error{
        Code::kInvalidArgument, operation,
        "it does not fit beside the kernel into " + std::to_string(ram.size() >> 20) + " MiB"}};
  }
  std::uint64_t at = address;
  for (const platform::File& archive : archives) {
    RUNHV_TRY(archive.read_at(0, ram.subspan(static_cast<std::size_t>(at),
                                             static_cast<std::size_t>(archive.size_bytes()))));
    at += (archive.size_bytes() + kAlignment - 1) & ~(kAlignment - 1);
  }
  return LoadedInitrd{Gpa{address}, size};
}

Result<void> write_boot_params(const RamLayout& layout, const std::string& command_line,
                               const LoadedKernel& kernel,
                               const std::optional<LoadedInitrd>& initrd,
                               std::span<std::byte> ram) {
  RUNHV_CHECK(ram.size() == layout.low_bytes && ram.size() >= kHighMemoryStart.value);
  RUNHV_CHECK(kernel.setup_header.size() <= kSetupHeaderEnd - kSetupHeaderStart);
  RUNHV_TRY(check_command_line(command_line, kernel));
  std::ranges::copy(as_bytes(command_line), ram.begin() + kCommandLineAddress.value);

  const auto page = ram.subspan(kZeroPageAddress.value, kPageSize);
  if (kernel.setup_header.empty()) {
    store_le<std::uint16_t>(page, kBootFlag, 0xaa55);
    std::ranges::copy(as_bytes("HdrS"), page.begin() + kHeaderMagic);
    store_le<std::uint16_t>(page, kHeaderVersion, 0x20f);
    store_le<std::uint8_t>(page, kLoadFlags, 1);  // LOADED_HIGH
    store_le<std::uint32_t>(page, kCommandLineSize,
                            static_cast<std::uint32_t>(MachineLimits::kMaxCommandLineBytes - 1));
  }
  std::ranges::copy(kernel.setup_header, page.begin() + kSetupHeaderStart);
  store_le<std::uint8_t>(page, kTypeOfLoader, 0xff);  // no assigned number
  store_le(page, kAcpiPointer, kAcpiPointerAddress.value);
  store_le<std::uint32_t>(page, kCommandLinePointer,
                          static_cast<std::uint32_t>(kCommandLineAddress.value));
  if (initrd) {
    store_le<std::uint32_t>(page, kRamdiskImage, static_cast<std::uint32_t>(initrd->address.value));
    store_le<std::uint32_t>(page, kRamdiskSize, static_cast<std::uint32_t>(initrd->size_bytes));
  }
  E820Table e820(page);
  e820.add(Gpa{0}, kMpTableAddress.value, kE820Ram);
  e820.add(kMpTableAddress, kLowMemoryEnd.value - kMpTableAddress.value, kE820Reserved);
  e820.add(kHighMemoryStart, layout.low_bytes - kHighMemoryStart.value, kE820Ram);
  if (layout.high_bytes != 0) e820.add(kDeviceSpaceEnd, layout.high_bytes, kE820Ram);
  return {};
}

void write_entry_tables(std::span<std::byte> ram) {
  const std::uint64_t directory_pointers = kPageTablesAddress.value + kPageSize;
  const std::uint64_t directory = kPageTablesAddress.value + 2 * kPageSize;
  store_le(ram, kPageTablesAddress.value, directory_pointers | kPresent | kWritable);
  store_le(ram, directory_pointers, directory | kPresent | kWritable);
  for (std::uint64_t at = 0; at < kEntryMapEnd.value; at += kLargePageSize) {
    store_le(ram, directory + at / kLargePageSize * sizeof(std::uint64_t),
             at | kPresent | kWritable | kLargePage);
  }
  // __BOOT_CS (0x10): 64-bit code; __BOOT_DS (0x18): data; both flat (SDM Vol.3 §3.4.5).
  store_le<std::uint64_t>(ram, kGdtAddress.value + 0x10, 0x00af9b000000ffff);
  store_le<std::uint64_t>(ram, kGdtAddress.value + 0x18, 0x00cf93000000ffff);
}

}  // namespace runhv::machine
