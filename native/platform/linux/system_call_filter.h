// A seccomp program: what is not allowed ends the process with SIGSYS. Internal to platform/.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <set>
#include <vector>

#include <linux/filter.h>

namespace runhv::platform {

// Allowed where (argument & mask) == value. Compared are the low 32 bits: all that the kernel takes
// of the arguments that we look at.
struct ArgumentTest {
  std::uint32_t mask;
  std::uint32_t value;
};

class SystemCallFilter {
 public:
  // Whatever its arguments.
  void allow(std::initializer_list<long> calls);
  // Where one of the tests holds for argument 0..5; else it is as if the call were not named.
  void allow_where(long call, unsigned argument, std::initializer_list<ArgumentTest> tests);
  // Fails with `os_code`: for what callers can do without.
  void refuse(long call, int os_code);
  // Ends the process at once, where nobody can catch it. Before another rule for the same call.
  void kill_where(long call, unsigned argument, std::uint32_t value);

  // The program, at the end of which everything else raises SIGSYS.
  std::vector<sock_filter> finish() const;

 private:
  void add_rule(std::initializer_list<sock_filter> instructions);
  std::set<std::uint32_t> allowed_;
  std::vector<sock_filter> rules_;  // of the other calls, one after the other
};

}  // namespace runhv::platform
