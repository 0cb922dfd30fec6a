// The door of libFuzzer to a target.

#include <cstdio>
#include <cstdlib>

#include "base/check.h"
#include "testing/fuzz.h"

// In place of the product's, which ends the process in a way that libFuzzer does not see.
void runhv::check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "%s (%s:%d)\n", expression, file, line);
  std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  runhv::testing::fuzz(std::as_bytes(std::span(data, size)));
  return 0;
}
