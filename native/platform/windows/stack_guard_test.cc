#include <cstddef>

#include "gtest/gtest.h"
#include "platform/windows/system.h"

namespace runhv::platform {
namespace {

[[gnu::noinline]] void write_past_the_end(std::size_t size) {
  volatile char bytes[16];
  volatile char* at = bytes;
  for (std::size_t i = 0; i < size; ++i) at[i] = 'x';
}

bool ended_by_the_guard(int status) {
  return static_cast<DWORD>(status) == STATUS_STACK_BUFFER_OVERRUN;
}

TEST(StackGuardTest, EndsAProcessWhoseStackIsWrittenOver) {
  write_past_the_end(16);
  EXPECT_EXIT(
      {
        ::SetErrorMode(SEM_NOGPFAULTERRORBOX);  // Wine: no debugger
        write_past_the_end(64);
      },
      ended_by_the_guard, "");
}

}  // namespace
}  // namespace runhv::platform
