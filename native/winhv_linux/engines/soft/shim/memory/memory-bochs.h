// SPDX-License-Identifier: LGPL-2.0-or-later
// Stands in for Bochs's memory: ranges of guest-physical memory backed by the caller's.
#ifndef BX_MEM_H
#define BX_MEM_H

#include <vector>

class BX_MEM_C {
 public:
  struct Range {
    Bit64u gpa, size;
    Bit8u* host;
    Bit32u flags;  // SOFTCPU_MAP_*
  };

  // Both answer whether something was mapped there before.
  bool map(const Range& range);
  bool unmap(Bit64u gpa, Bit64u size);

  const Range* find(bx_phy_address addr) const;
  // Host address of a byte that may be used for `rw`, NULL where none.
  Bit8u* getHostMemAddr(BX_CPU_C*, bx_phy_address addr, unsigned rw) const;
  void readPhysicalPage(BX_CPU_C* cpu, bx_phy_address addr, unsigned len, void* data);
  void writePhysicalPage(BX_CPU_C* cpu, bx_phy_address addr, unsigned len, void* data);
  [[noreturn]] void fetch_exit(BX_CPU_C* cpu, bx_phy_address addr, bx_address laddr);
  // Page-table accesses never exit: outside of memory they read ones (a reserved-bit fault) and
  // drop writes. False: the address is no business of these (the local APIC's page).
  bool read_table(bx_phy_address addr, unsigned len, void* data) const;
  bool write_table(bx_phy_address addr, unsigned len, const void* data) const;
  bool dbg_fetch_mem(BX_CPU_C*, bx_phy_address, unsigned, Bit8u*) { return false; }

 private:
  // The guest writes there.
  static void note_write(const Range& range, bx_phy_address addr);

  std::vector<Range> ranges_;  // sorted, without overlap
  mutable unsigned last_ = 0;  // index of the last hit
};

#endif
