// SPDX-License-Identifier: LGPL-2.0-or-later
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include <ntsecapi.h>

#include "host.h"

static const DWORD slot = TlsAlloc();  // a process has 1088

void* thread_pointer() { return TlsGetValue(slot); }
void set_thread_pointer(void* pointer) {
  if (!TlsSetValue(slot, pointer)) abort();
}

// Whether this is the Wine that was tried, 8, on Linux. A newer one (11.5) takes a system call that
// is made in a program's own code for one of Windows'.
static bool pages_are_linuxs() {
  const HMODULE ntdll = GetModuleHandleA("ntdll.dll");
  const auto version =
      reinterpret_cast<const char*(__cdecl*)()>(GetProcAddress(ntdll, "wine_get_version"));
  const auto host_version = reinterpret_cast<void(__cdecl*)(const char**, const char**)>(
      GetProcAddress(ntdll, "wine_get_host_version"));
  const char *system = nullptr, *release = nullptr;
  if (host_version != nullptr) host_version(&system, &release);
  return version != nullptr && strncmp(version(), "8.", 2) == 0 && system != nullptr &&
         strcmp(system, "Linux") == 0;
}

// Windows gives a program large pages only where its user has a right for them. Under Wine pages
// are Linux's, which gives large ones to who asks, and Wine has no call for that: madvise(2).
void prefer_large_pages(void* pages, size_t bytes) {
  static const bool can_ask = pages_are_linuxs();
  constexpr long kMadvise = 28, kHugePages = 14;
  long result = kMadvise;
  if (can_ask)
    asm volatile("syscall"
                 : "+a"(result)
                 : "D"(pages), "S"(bytes), "d"(kHugePages)
                 : "rcx", "r11", "memory");
}

void* allocate_pages(size_t bytes) {
  auto* block =
      static_cast<char*>(VirtualAlloc(nullptr, bytes + kLargePage, MEM_RESERVE, PAGE_NOACCESS));
  if (block == nullptr) return nullptr;
  char* first = block + (-reinterpret_cast<uintptr_t>(block) & (kLargePage - 1));
  if (VirtualAlloc(first, bytes, MEM_COMMIT, PAGE_READWRITE) == nullptr) {
    VirtualFree(block, 0, MEM_RELEASE);
    return nullptr;
  }
  prefer_large_pages(first, bytes);
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
