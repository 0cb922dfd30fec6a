// IN and OUT of a port exit.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace runhv::emu {

struct PortAccess {
  std::uint16_t port = 0;
  unsigned size_bytes = 0;  // 1, 2, 4
  bool is_write = false;
  bool is_string = false;  // INS, OUTS
  std::uint64_t rax = 0;
};

class PortOperand {
 public:
  virtual ~PortOperand() = default;
  virtual std::uint32_t read(std::uint16_t port, unsigned size_bytes) = 0;
  virtual void write(std::uint16_t port, unsigned size_bytes, std::uint32_t value) = 0;
};

// Executes; the result is RAX afterwards (unchanged by OUT). Errors: kUnsupported for string forms
// and for sizes that no IN or OUT has.
Result<std::uint64_t> execute_port(const PortAccess& access, PortOperand& operand);

}  // namespace runhv::emu
