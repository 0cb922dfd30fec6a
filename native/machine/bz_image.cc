#include "machine/bz_image.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "machine/memory_layout.h"

namespace runhv::machine {
namespace {

// Boot protocol 2.15 (Documentation/arch/x86/boot.rst of Linux): offsets in the file.
constexpr std::size_t kSetupSectors = 0x1f1;
constexpr std::size_t kProtectedModeParagraphs = 0x1f4;
constexpr std::size_t kBootFlag = 0x1fe;
constexpr std::size_t kHeaderLength = 0x201;  // of a jump: the header ends this far behind kMagic
constexpr std::size_t kMagic = 0x202;
constexpr std::size_t kVersion = 0x206;
constexpr std::size_t kVersionText = 0x20e;  // less 0x200
constexpr std::size_t kLoadFlags = 0x211;
constexpr std::size_t kInitrdAddressMax = 0x22c;
constexpr std::size_t kExtendedLoadFlags = 0x236;
constexpr std::size_t kCommandLineSize = 0x238;
constexpr std::size_t kPreferredAddress = 0x258;
constexpr std::size_t kInitSize = 0x260;
constexpr std::size_t kReadBytes = 0x300;  // the header, whatever its length is

constexpr std::string_view kHeaderMagic = "HdrS";
constexpr std::size_t kSectorBytes = 512;
constexpr std::uint16_t kLeastVersion = 0x20c;  // has xloadflags: Linux 3.8
constexpr std::uint8_t kLoadedHigh = 1;
constexpr std::uint16_t kKernel64 = 1;         // XLF_KERNEL_64: the entry below is there
constexpr std::uint64_t kEntryOffset = 0x200;  // from where the protected-mode part lies

using Header = std::array<std::byte, kReadBytes>;

Result<Header> read_header(const platform::File& kernel) {
  Header header{};
  RUNHV_TRY(kernel.read_at(0, header));
  return header;
}

Fail<Error> fail(const platform::File& kernel, Code code, std::string detail) {
  return Fail{Error{code, "load kernel " + kernel.path(), std::move(detail)}};
}

// 0 means 4, from before there was the field.
std::uint64_t setup_bytes(const Header& header) {
  const auto sectors = load_le<std::uint8_t>(header, kSetupSectors);
  return (1 + std::uint64_t{sectors == 0 ? std::uint8_t{4} : sectors}) * kSectorBytes;
}

Result<void> check_protocol(const platform::File& kernel, const Header& header) {
  if (load_le<std::uint16_t>(header, kBootFlag) != 0xaa55) {
    return fail(kernel, Code::kCorruptInput, "a bzImage without the boot flag 0xaa55");
  }
  const auto version = load_le<std::uint16_t>(header, kVersion);
  if (version < kLeastVersion) {
    return fail(kernel, Code::kUnsupported,
                "its boot protocol is " + std::to_string(version >> 8) + "." +
                    std::to_string(version & 0xff) + "; 2.12 (Linux 3.8) or newer is needed");
  }
  const bool has_entry = (load_le<std::uint8_t>(header, kLoadFlags) & kLoadedHigh) != 0 &&
                         (load_le<std::uint16_t>(header, kExtendedLoadFlags) & kKernel64) != 0;
  if (!has_entry) {
    return fail(kernel, Code::kUnsupported, "it has no 64-bit entry: give a kernel for x86-64");
  }
  return {};
}

Result<void> check_place(const platform::File& kernel, std::uint64_t address, std::uint64_t size,
                         std::uint64_t ram_bytes) {
  const std::uint64_t limit = kEntryMapEnd.value;
  if (address < kHighMemoryStart.value || address > limit || limit - address < size) {
    return fail(kernel, Code::kCorruptInput,
                "it wants to lie outside the addresses 1 MiB to 1 GiB");
  }
  if (address > ram_bytes || ram_bytes - address < size) {
    return fail(kernel, Code::kInvalidArgument,
                "it needs memory up to " + std::to_string((address + size) >> 10) +
                    " KiB to unpack itself, the machine has " + std::to_string(ram_bytes >> 10) +
                    " KiB");
  }
  return {};
}

}  // namespace

bool is_bz_image(const platform::File& kernel) {
  std::array<std::byte, kHeaderMagic.size()> magic;
  return kernel.size_bytes() >= kReadBytes && kernel.read_at(kMagic, magic) &&
         std::ranges::equal(magic, as_bytes(kHeaderMagic));
}

Result<LoadedKernel> load_bz_image(const platform::File& kernel, std::span<std::byte> ram) {
  RUNHV_TRY_ASSIGN(const Header header, read_header(kernel));
  RUNHV_TRY(check_protocol(kernel, header));

  const std::uint64_t setup = setup_bytes(header);
  const std::uint64_t size =
      std::uint64_t{load_le<std::uint32_t>(header, kProtectedModeParagraphs)} * 16;
  if (setup > kernel.size_bytes() || kernel.size_bytes() - setup < size) {
    return fail(kernel, Code::kCorruptInput, "it is truncated");
  }
  const auto address = load_le<std::uint64_t>(header, kPreferredAddress);
  const auto init_size = load_le<std::uint32_t>(header, kInitSize);
  if (size <= kEntryOffset || size > init_size) {
    return fail(kernel, Code::kCorruptInput,
                std::to_string(size) + " bytes of kernel that unpack in " +
                    std::to_string(init_size) + " bytes");
  }
  RUNHV_TRY(check_place(kernel, address, init_size, ram.size()));
  const std::size_t header_end = kMagic + load_le<std::uint8_t>(header, kHeaderLength);
  if (header_end < kInitSize + sizeof(std::uint32_t) || header_end > kSetupHeaderEnd) {
    return fail(kernel, Code::kCorruptInput,
                "a setup header that ends at " + std::to_string(header_end));
  }
  RUNHV_TRY(kernel.read_at(
      setup, ram.subspan(static_cast<std::size_t>(address), static_cast<std::size_t>(size))));

  LoadedKernel loaded;
  loaded.entry = Gpa{address + kEntryOffset};
  loaded.end = Gpa{address + init_size};
  loaded.setup_header.assign(header.begin() + kSetupHeaderStart,
                             header.begin() + static_cast<std::ptrdiff_t>(header_end));
  loaded.initrd_end = std::uint64_t{load_le<std::uint32_t>(header, kInitrdAddressMax)} + 1;
  loaded.command_line_bytes = load_le<std::uint32_t>(header, kCommandLineSize);
  return loaded;
}

std::string bz_image_version(const platform::File& kernel) {
  constexpr std::size_t kMost = 128;
  const auto header = read_header(kernel);
  if (!header) return "";
  const std::uint64_t pointer = load_le<std::uint16_t>(*header, kVersionText);
  const std::uint64_t offset = pointer + kSectorBytes;
  if (pointer == 0 || offset >= setup_bytes(*header) || offset >= kernel.size_bytes()) return "";
  std::string text(std::min<std::uint64_t>(kMost, kernel.size_bytes() - offset), '\0');
  if (!kernel.read_at(offset, std::as_writable_bytes(std::span(text)))) return "";
  text.resize(std::min(text.find('\0'), text.size()));
  return text;
}

}  // namespace runhv::machine
