// SPDX-License-Identifier: LGPL-2.0-or-later
#include <stdint.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "host.h"

void* allocate_pages(size_t bytes) {
  void* block = mmap(nullptr, bytes + kLargePage, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (block == MAP_FAILED) return nullptr;
  auto* first = static_cast<char*>(block);
  size_t skipped = -reinterpret_cast<uintptr_t>(first) & (kLargePage - 1);
  if (skipped) munmap(first, skipped);
  munmap(first + skipped + bytes, kLargePage - skipped);
  madvise(first + skipped, bytes, MADV_HUGEPAGE);  // where the system has none: small pages
  return first + skipped;
}

void free_pages(void* pages, size_t bytes) { munmap(pages, bytes); }

void prefer_large_pages(void*, size_t) {}  // who made it could

void bx_os_random(void* bytes, unsigned size) {
  // Requests of up to 256 bytes are never cut short (getrandom(2)).
  while (getrandom(bytes, size, 0) != ssize_t(size)) {
  }
}
