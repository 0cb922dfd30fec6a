// SPDX-License-Identifier: LGPL-2.0-or-later
// Page walks for the caller: they set no bit, fault nothing and exit nowhere.
#include <algorithm>
#include <cstring>

#include "vm.h"

namespace {

template <class Entry>
bool read_entry(BX_CPU_C* cpu, Bit64u addr, Entry* entry) {
  const Bit8u* host = cpu->bx_machine->memory->getHostMemAddr(cpu, addr, BX_READ);
  if (!host) return false;
  memcpy(entry, host, sizeof *entry);
  return true;
}

bool permits(Bit64u entry, bool no_execute, Bit32u access) {
  if (!(entry & 1)) return false;
  if (access == 1) return entry & 2;
  return access != 2 || !no_execute;
}

bool walk_32(BX_CPU_C* cpu, Bit32u gva, Bit32u access, Bit64u* gpa) {
  Bit32u pde, pte;
  if (!read_entry(cpu, (cpu->cr3 & 0xfffff000) + (gva >> 22) * 4, &pde) ||
      !permits(pde, false, access))
    return false;
  if ((pde & 0x80) && cpu->cr4.get_PSE()) {
    *gpa = (pde & 0xffc00000) | (Bit64u(pde & 0x1fe000) << 19) | (gva & 0x3fffff);
    return true;
  }
  if (!read_entry(cpu, (pde & 0xfffff000) + (gva >> 12 & 0x3ff) * 4, &pte) ||
      !permits(pte, false, access))
    return false;
  *gpa = (pte & 0xfffff000) | (gva & 0xfff);
  return true;
}

}  // namespace

bool walk(BX_CPU_C* cpu, Bit64u gva, Bit32u access, Bit64u* gpa) {
  constexpr Bit64u kAddressBits = 0x000ffffffffff000;
  if (!cpu->cr0.get_PG()) {
    *gpa = Bit32u(gva);
    return true;
  }
  if (!cpu->cr4.get_PAE()) return walk_32(cpu, Bit32u(gva), access, gpa);

  int level;
  Bit64u table;
  if (cpu->long_mode()) {
    unsigned unused = 64 - cpu->linaddr_width;
    if (Bit64u(Bit64s(gva << unused) >> unused) != gva) return false;
    level = cpu->linaddr_width == 57 ? 4 : 3;
    table = cpu->cr3 & kAddressBits;
  } else {
    gva = Bit32u(gva);
    table = cpu->PDPTR_CACHE.entry[gva >> 30];
    if (!(table & 1)) return false;
    table &= kAddressBits;
    level = 1;
  }
  bool nx_enabled = cpu->efer.get_NXE();
  for (;; level--) {
    Bit64u entry;
    if (!read_entry(cpu, table + (gva >> (12 + 9 * level) & 0x1ff) * 8, &entry) ||
        !permits(entry, nx_enabled && entry >> 63, access))
      return false;
    if (level == 0 || (level <= 2 && (entry & 0x80))) {
      Bit64u offset_mask = (Bit64u(1) << (12 + 9 * level)) - 1;
      *gpa = (entry & kAddressBits & ~offset_mask) | (gva & offset_mask);
      return true;
    }
    table = entry & kAddressBits;
  }
}

unsigned fetch_bytes(BX_CPU_C* cpu, Bit8u bytes[16]) {
  constexpr unsigned kMax = 15;  // SDM 2A 2.3.11: the longest instruction
  Bit64u laddr = cpu->get_laddr(BX_SEG_REG_CS, cpu->gen_reg[BX_64BIT_REG_RIP].rrx);
  unsigned got = 0;
  while (got < kMax) {
    Bit64u gpa;
    if (!walk(cpu, laddr + got, 2, &gpa)) break;
    const Bit8u* host = cpu->bx_machine->memory->getHostMemAddr(cpu, gpa, BX_EXECUTE);
    if (!host) break;
    unsigned part = std::min(kMax - got, unsigned(0x1000 - (gpa & 0xfff)));
    memcpy(bytes + got, host, part);
    got += part;
  }
  return got;
}
