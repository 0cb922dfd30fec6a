// A hostile kernel image: refused with a reason, or loaded wholly inside the memory.

#include <vector>

#include "base/check.h"
#include "machine/kernel_loader.h"
#include "testing/fuzz.h"

void runhv::testing::fuzz(std::span<const std::byte> bytes) {
  auto file = platform::File::create_anonymous(platform::temporary_directory(), bytes.size());
  RUNHV_CHECK(file);
  if (!bytes.empty()) RUNHV_CHECK(file->write_at(0, bytes));
  // A vector: a sanitizer sees the byte behind its end.
  std::vector<std::byte> ram(4u << 20);
  const auto loaded = machine::load_kernel(*file, ram);
  if (loaded) {
    RUNHV_CHECK(loaded->entry.value < ram.size());
    RUNHV_CHECK(loaded->end.value <= ram.size());
  } else {
    RUNHV_CHECK(!loaded.error().operation.empty() && !loaded.error().detail.empty());
  }
  for (const char c : machine::kernel_release(*file)) RUNHV_CHECK(c > ' ' && c < 0x7f);
}
