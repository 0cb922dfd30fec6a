// A small bzImage, built field by field, for tests.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace runhv::machine {

struct BzImageFixture {
  std::uint8_t setup_sectors = 1;
  std::uint16_t boot_flag = 0xaa55;
  std::uint8_t header_length = 0x68;  // ends at 0x26a
  std::uint16_t version = 0x20f;
  std::uint8_t load_flags = 1;
  std::uint16_t extended_load_flags = 1;
  std::uint32_t initrd_address_max = 0x7fffffff;
  std::uint32_t command_line_size = 2047;
  std::uint64_t preferred_address = 0x200000;
  std::uint32_t init_size = 0x2000;
  std::uint32_t paragraphs = 0;  // 0 = as many as `content` needs
  std::uint16_t version_text = 0x80;
  std::string_view text = "6.1.0-9-test (me@here) #1";
  std::string_view content = "\xf4";  // hlt; at the 64-bit entry

  std::vector<std::byte> build() const {
    const std::size_t setup = 512 * (1 + std::size_t{setup_sectors});
    const std::size_t size = (0x200 + content.size() + 15) / 16 * 16;
    std::vector<std::byte> file(std::max<std::size_t>(setup, 0x400) + size);
    const std::span<std::byte> out(file);
    store_le<std::uint8_t>(out, 0x1f1, setup_sectors);
    store_le<std::uint32_t>(out, 0x1f4,
                            paragraphs != 0 ? paragraphs : static_cast<std::uint32_t>(size / 16));
    store_le<std::uint16_t>(out, 0x1fe, boot_flag);
    store_le<std::uint8_t>(out, 0x201, header_length);
    std::ranges::copy(as_bytes("HdrS"), out.begin() + 0x202);
    store_le<std::uint16_t>(out, 0x206, version);
    store_le<std::uint16_t>(out, 0x20e, version_text);
    store_le<std::uint8_t>(out, 0x211, load_flags);
    store_le<std::uint32_t>(out, 0x22c, initrd_address_max);
    store_le<std::uint16_t>(out, 0x236, extended_load_flags);
    store_le<std::uint32_t>(out, 0x238, command_line_size);
    store_le<std::uint64_t>(out, 0x258, preferred_address);
    store_le<std::uint32_t>(out, 0x260, init_size);
    std::ranges::copy(as_bytes(text), out.begin() + 0x280);
    std::ranges::copy(as_bytes(content), out.begin() + static_cast<std::ptrdiff_t>(setup) + 0x200);
    return file;
  }
};

}  // namespace runhv::machine
