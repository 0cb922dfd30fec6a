// SPDX-License-Identifier: LGPL-2.0-or-later
// What the processor needs of the operating system: host_linux.cc, host_windows.cc.
#ifndef RUNHV_SOFT_HOST_H
#define RUNHV_SOFT_HOST_H

#include <stddef.h>

// What a large page is, where the system gives any.
constexpr size_t kLargePage = size_t(2) << 20;

// Zeros that begin at a large page; taken from the system as they are touched. NULL: there are
// none.
void* allocate_pages(size_t bytes);
void free_pages(void* pages, size_t bytes);  // of allocate_pages(bytes)

// Of a guest's memory, which somebody else made: asks for large pages where he could not.
void prefer_large_pages(void* pages, size_t bytes);

// At most 256 bytes that nobody can guess.
void bx_os_random(void* bytes, unsigned size);

#ifndef __ELF__
// A pointer of the calling thread's own.
void* thread_pointer();
void set_thread_pointer(void* pointer);
#endif

#endif
