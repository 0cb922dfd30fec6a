#include "machine/kernel_loader.h"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "machine/bz_image.h"
#include "machine/machine.h"
#include "machine/memory_layout.h"

namespace runhv::machine {
namespace {

// ELF-64 Object File Format 1.5: sizes and offsets of the fields that are read.
constexpr std::size_t kElfHeaderSize = 64;
constexpr std::size_t kProgramHeaderSize = 56;
constexpr std::uint16_t kExecutable = 2;      // ET_EXEC
constexpr std::uint16_t kMachineX86_64 = 62;  // EM_X86_64
constexpr std::uint32_t kLoadSegment = 1;     // PT_LOAD
constexpr std::size_t kMaxProgramHeaders = 64;

std::string operation(const platform::File& kernel) { return "load kernel " + kernel.path(); }

Fail<Error> corrupt(const platform::File& kernel, std::string detail) {
  return Fail{Error{Code::kCorruptInput, operation(kernel), std::move(detail)}};
}

struct Segment {
  std::uint64_t offset;
  std::uint64_t virtual_address;
  std::uint64_t physical_address;
  std::uint64_t file_bytes;
  std::uint64_t memory_bytes;
};

struct Image {
  std::uint64_t entry;
  std::vector<Segment> segments;
};

bool is_x86_64_executable(std::span<const std::byte> header) {
  constexpr std::array<unsigned char, 7> kIdent = {0x7f, 'E', 'L', 'F', 2, 1, 1};  // 64-bit, LSB
  return std::ranges::equal(header.first(kIdent.size()), std::as_bytes(std::span(kIdent))) &&
         load_le<std::uint16_t>(header, 16) == kExecutable &&
         load_le<std::uint16_t>(header, 18) == kMachineX86_64;
}

Result<Image> read_image(const platform::File& kernel) {
  std::array<std::byte, kElfHeaderSize> header{};
  const bool has_header = kernel.size_bytes() >= header.size();
  if (has_header) RUNHV_TRY(kernel.read_at(0, header));
  if (!has_header || !is_x86_64_executable(header)) {
    return Fail{Error{Code::kCorruptInput, operation(kernel),
                      "it is neither a bzImage nor an x86-64 ELF image: give a vmlinuz or a "
                      "vmlinux"}};
  }
  const auto table_offset = load_le<std::uint64_t>(header, 32);
  const std::size_t entry_size = load_le<std::uint16_t>(header, 54);
  const std::size_t count = load_le<std::uint16_t>(header, 56);
  if (entry_size != kProgramHeaderSize) {
    return corrupt(kernel, "program headers of " + std::to_string(entry_size) + " bytes");
  }
  if (count == 0 || count > kMaxProgramHeaders) {
    return corrupt(kernel, std::to_string(count) + " program headers");
  }
  std::vector<std::byte> table(count * kProgramHeaderSize);
  if (table_offset > kernel.size_bytes() || kernel.size_bytes() - table_offset < table.size()) {
    return corrupt(kernel, "the program headers lie outside the file");
  }
  RUNHV_TRY(kernel.read_at(table_offset, table));

  Image image{load_le<std::uint64_t>(header, 24), {}};
  for (std::size_t i = 0; i < count; ++i) {
    const auto entry = std::span(table).subspan(i * kProgramHeaderSize, kProgramHeaderSize);
    if (load_le<std::uint32_t>(entry, 0) != kLoadSegment) continue;
    const Segment segment{.offset = load_le<std::uint64_t>(entry, 8),
                          .virtual_address = load_le<std::uint64_t>(entry, 16),
                          .physical_address = load_le<std::uint64_t>(entry, 24),
                          .file_bytes = load_le<std::uint64_t>(entry, 32),
                          .memory_bytes = load_le<std::uint64_t>(entry, 40)};
    if (segment.memory_bytes != 0) image.segments.push_back(segment);
  }
  if (image.segments.empty()) return corrupt(kernel, "no segment to load");
  return image;
}

Result<void> check_segment(const platform::File& kernel, const Segment& segment,
                           std::uint64_t ram_bytes) {
  if (segment.file_bytes > segment.memory_bytes || segment.offset > kernel.size_bytes() ||
      kernel.size_bytes() - segment.offset < segment.file_bytes) {
    return corrupt(kernel, "a segment lies outside the file");
  }
  const std::uint64_t limit = kEntryMapEnd.value;
  if (segment.physical_address < kHighMemoryStart.value || segment.physical_address > limit ||
      limit - segment.physical_address < segment.memory_bytes) {
    return corrupt(kernel, "a segment lies outside the addresses 1 MiB to 1 GiB");
  }
  if (segment.physical_address > ram_bytes ||
      ram_bytes - segment.physical_address < segment.memory_bytes) {
    return Fail{Error{Code::kInvalidArgument, operation(kernel),
                      "the kernel ends at " +
                          std::to_string((segment.physical_address + segment.memory_bytes) >> 10) +
                          " KiB, the machine has " + std::to_string(ram_bytes >> 10) + " KiB"}};
  }
  return {};
}

// The entry is a physical address in every x86-64 vmlinux since 2.6.22; older tools write a virtual
// one.
std::optional<std::uint64_t> physical_entry(const Image& image) {
  for (const Segment& segment : image.segments) {
    if (image.entry - segment.physical_address < segment.file_bytes) return image.entry;
    if (image.entry - segment.virtual_address < segment.file_bytes) {
      return image.entry - segment.virtual_address + segment.physical_address;
    }
  }
  return std::nullopt;
}

// Formats such as "Linux version %s (…" are not the banner: a release starts with a digit. It ends
// up on people's terminals, so only printable characters count.
bool is_release(std::string_view text) {
  return !text.empty() && text[0] >= '0' && text[0] <= '9' &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

std::string file_name(const platform::File& kernel) {
  const std::string& path = kernel.path();
  return path.substr(path.find_last_of("/\\") + 1);
}

}  // namespace

Result<LoadedKernel> load_kernel(const platform::File& kernel, std::span<std::byte> ram) {
  if (kernel.size_bytes() > MachineLimits::kMaxKernelBytes) {
    return corrupt(kernel,
                   "larger than " + std::to_string(MachineLimits::kMaxKernelBytes >> 20) + " MiB");
  }
  if (is_bz_image(kernel)) return load_bz_image(kernel, ram);
  RUNHV_TRY_ASSIGN(const Image image, read_image(kernel));
  std::uint64_t end = 0;
  for (const Segment& segment : image.segments) {
    RUNHV_TRY(check_segment(kernel, segment, ram.size()));
    end = std::max(end, segment.physical_address + segment.memory_bytes);
  }
  const std::optional<std::uint64_t> entry = physical_entry(image);
  if (!entry) return corrupt(kernel, "the entry lies in no segment");
  for (const Segment& segment : image.segments) {
    RUNHV_TRY(kernel.read_at(segment.offset,
                             ram.subspan(static_cast<std::size_t>(segment.physical_address),
                                         static_cast<std::size_t>(segment.file_bytes))));
  }
  return LoadedKernel{Gpa{*entry}, Gpa{end}};
}

std::string kernel_release(const platform::File& kernel) {
  if (is_bz_image(kernel)) {
    const std::string version = bz_image_version(kernel);
    const std::string_view release = std::string_view(version).substr(0, version.find(' '));
    return is_release(release) ? std::string(release) : file_name(kernel);
  }
  constexpr std::string_view kBanner = "Linux version ";
  constexpr std::size_t kMaxRelease = 127;
  constexpr std::size_t kChunk = 1 << 20;
  constexpr std::size_t kOverlap = kBanner.size() + kMaxRelease + 1;
  const std::boyer_moore_horspool_searcher searcher(kBanner.begin(), kBanner.end());
  const std::uint64_t size = std::min(kernel.size_bytes(), MachineLimits::kMaxKernelBytes);
  std::vector<std::byte> chunk;
  for (std::uint64_t offset = 0; offset < size; offset += kChunk) {
    chunk.resize(
        static_cast<std::size_t>(std::min<std::uint64_t>(kChunk + kOverlap, size - offset)));
    if (!kernel.read_at(offset, chunk)) break;
    const std::string text(reinterpret_cast<const char*>(chunk.data()), chunk.size());
    auto at = std::search(text.begin(), text.end(), searcher);
    for (; at != text.end(); at = std::search(at + 1, text.end(), searcher)) {
      const std::string_view rest = std::string_view(text).substr(
          static_cast<std::size_t>(at - text.begin()) + kBanner.size());
      const std::size_t length = rest.find(' ');
      if (length == std::string_view::npos || length > kMaxRelease) continue;
      const std::string_view release = rest.substr(0, length);
      if (is_release(release)) return std::string(release);
    }
  }
  return file_name(kernel);
}

}  // namespace runhv::machine
