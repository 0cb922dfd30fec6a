// A small x86-64 ELF executable, built field by field, for tests.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace runhv::machine {

struct ElfFixture {
  std::uint64_t entry = 0x200000;
  std::uint64_t physical_address = 0x200000;
  std::uint64_t virtual_address = 0xffffffff80200000;
  std::uint64_t file_bytes = 0;  // 0 = the length of `content`
  std::uint64_t memory_bytes = 0x2000;
  std::uint64_t offset = 0x100;
  std::string_view content = "\xf4";  // hlt

  std::vector<std::byte> build() const {
    std::vector<std::byte> file(0x100 + content.size());
    const std::span<std::byte> out(file);
    constexpr unsigned char kIdent[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    for (std::size_t i = 0; i < sizeof kIdent; ++i) out[i] = std::byte{kIdent[i]};
    store_le<std::uint16_t>(out, 16, 2);   // ET_EXEC
    store_le<std::uint16_t>(out, 18, 62);  // EM_X86_64
    store_le<std::uint32_t>(out, 20, 1);
    store_le<std::uint64_t>(out, 24, entry);
    store_le<std::uint64_t>(out, 32, 64);  // program headers at
    store_le<std::uint16_t>(out, 52, 64);
    store_le<std::uint16_t>(out, 54, 56);
    store_le<std::uint16_t>(out, 56, 1);
    const auto header = out.subspan(64, 56);
    store_le<std::uint32_t>(header, 0, 1);  // PT_LOAD
    store_le<std::uint32_t>(header, 4, 5);
    store_le<std::uint64_t>(header, 8, offset);
    store_le<std::uint64_t>(header, 16, virtual_address);
    store_le<std::uint64_t>(header, 24, physical_address);
    store_le<std::uint64_t>(header, 32, file_bytes != 0 ? file_bytes : content.size());
    store_le<std::uint64_t>(header, 40, memory_bytes);
    std::ranges::copy(as_bytes(content), out.begin() + 0x100);
    return file;
  }
};

}  // namespace runhv::machine
