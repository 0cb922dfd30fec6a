// SPDX-License-Identifier: LGPL-2.0-or-later
#include <stdint.h>
#include <stdlib.h>
#include <windows.h>

#include <ntsecapi.h>

#include "host.h"

static const DWORD slot = TlsAlloc();  // a process has 1088

void* thread_pointer() { return TlsGetValue(slot); }
void set_thread_pointer(void* pointer) {
  if (!TlsSetValue(slot, pointer)) abort();
}

void* allocate_pages(size_t bytes) {
  // Windows gives a program large pages only where its user has a right for them: the place is
  // aligned for who maps them, and the pages are small.
  auto* block =
      static_cast<char*>(VirtualAlloc(nullptr, bytes + kLargePage, MEM_RESERVE, PAGE_NOACCESS));
  if (block == nullptr) return nullptr;
  char* first = block + (-reinterpret_cast<uintptr_t>(block) & (kLargePage - 1));
  if (VirtualAlloc(first, bytes, MEM_COMMIT, PAGE_READWRITE) == nullptr) {
    VirtualFree(block, 0, MEM_RELEASE);
    return nullptr;
  }
  return first;
}

void free_pages(void* pages, size_t) {
  MEMORY_BASIC_INFORMATION info;
  if (VirtualQuery(pages, &info, sizeof info) != 0)
    VirtualFree(info.AllocationBase, 0, MEM_RELEASE);
}

void bx_os_random(void* bytes, unsigned size) {
  // Fails on a system that is broken: nobody may guess what a guest has drawn.
  if (!RtlGenRandom(bytes, size)) abort();
}
