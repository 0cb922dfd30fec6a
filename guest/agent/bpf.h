// Programs for the kernel's BPF machine (linux/bpf.h), one instruction at a time.
#pragma once

#include <linux/bpf.h>

#include <cstddef>
#include <cstdint>

namespace runhv::agent {

inline bpf_insn bpf_instruction(int code, std::uint8_t to, std::uint8_t from, std::size_t offset,
                                std::uint32_t value) {
  bpf_insn made;
  made.code = static_cast<std::uint8_t>(code);
  made.dst_reg = to & 0xf;
  made.src_reg = from & 0xf;
  made.off = static_cast<std::int16_t>(offset);
  made.imm = static_cast<std::int32_t>(value);
  return made;
}

}  // namespace runhv::agent
