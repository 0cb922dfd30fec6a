#include "emu/port_io.h"

#include <string>

namespace runhv::emu {

Result<std::uint64_t> execute_port(const PortAccess& access, PortOperand& operand) {
  const auto unsupported = [&](const char* what) {
    return Fail{Error{Code::kUnsupported, "access port " + std::to_string(access.port), what}};
  };
  if (access.is_string) return unsupported("string instructions (INS, OUTS) are not emulated");
  const unsigned size = access.size_bytes;
  if (size != 1 && size != 2 && size != 4) return unsupported("the size is none of 1, 2, 4");

  const std::uint64_t mask = (std::uint64_t{1} << (8 * size)) - 1;
  if (access.is_write) {
    operand.write(access.port, size, static_cast<std::uint32_t>(access.rax & mask));
    return access.rax;
  }
  const std::uint64_t value = operand.read(access.port, size) & mask;
  // SDM Vol.1 §3.4.1.1: a 32-bit result clears the upper half, smaller ones keep the rest.
  return size == 4 ? value : (access.rax & ~mask) | value;
}

}  // namespace runhv::emu
