// SPDX-License-Identifier: LGPL-2.0-or-later
#include <algorithm>
#include <cstring>

#include "vm.h"

namespace {

// Leaves cpu_loop with an MMIO exit; the instruction in progress has changed nothing.
[[noreturn]] void mmio_exit(BX_CPU_C* cpu, bx_phy_address addr, unsigned len, Bit32u access,
                            bx_address laddr, bool mapped) {
  softcpu_vm* vm = vm_of(cpu->bx_machine);
  if (cpu->delivering_event) {
    cpu->activity_state = BX_CPU_C::BX_ACTIVITY_STATE_SHUTDOWN;
    cpu->async_event = 1;
    vm->exit.reason = SOFTCPU_EXIT_SHUTDOWN;
    cpu->exit_now();
  }
  // The second page of an access that spans two begins at its start.
  if ((addr ^ laddr) & 0xfff) laddr = (laddr | 0xfff) + 1;
  vm->exit.reason = SOFTCPU_EXIT_MMIO;
  vm->exit.access = access;
  vm->exit.size = len;
  vm->exit.address = addr;
  vm->exit.gva = laddr;
  vm->exit.gva_valid = 1;
  vm->exit.unmapped = !mapped;
  cpu->exit_now();
}

}  // namespace

void BX_MEM_C::note_write(const Range& range, bx_phy_address addr) {
  if (!(range.flags & SOFTCPU_MAP_TRACK)) return;
  const softcpu_config& config = vm_of(bx_machine)->config;
  config.callbacks.page_written(config.context, addr & ~Bit64u(0xfff));
}

bool BX_MEM_C::unmap(Bit64u gpa, Bit64u size) {
  std::vector<Range> kept;
  Bit64u end = gpa + size;
  bool any = false;
  for (const Range& r : ranges_) {
    Bit64u r_end = r.gpa + r.size;
    if (r_end <= gpa || r.gpa >= end) {
      kept.push_back(r);
      continue;
    }
    any = true;
    if (r.gpa < gpa) kept.push_back({r.gpa, gpa - r.gpa, r.host, r.flags});
    if (r_end > end) kept.push_back({end, r_end - end, r.host + (end - r.gpa), r.flags});
  }
  ranges_ = std::move(kept);
  last_ = 0;
  return any;
}

bool BX_MEM_C::map(const Range& range) {
  bool any = unmap(range.gpa, range.size);
  auto at = std::find_if(ranges_.begin(), ranges_.end(),
                         [&](const Range& r) { return r.gpa > range.gpa; });
  ranges_.insert(at, range);
  return any;
}

const BX_MEM_C::Range* BX_MEM_C::find(bx_phy_address addr) const {
  if (last_ < ranges_.size() && addr - ranges_[last_].gpa < ranges_[last_].size)
    return &ranges_[last_];
  auto at = std::upper_bound(ranges_.begin(), ranges_.end(), addr,
                             [](bx_phy_address a, const Range& r) { return a < r.gpa; });
  if (at == ranges_.begin()) return nullptr;
  --at;
  if (addr - at->gpa >= at->size) return nullptr;
  last_ = unsigned(at - ranges_.begin());
  return &*at;
}

Bit8u* BX_MEM_C::getHostMemAddr(BX_CPU_C*, bx_phy_address addr, unsigned rw) const {
  const Range* r = find(addr);
  if (!r) return nullptr;
  Bit32u needed = SOFTCPU_MAP_READ;
  if (rw == BX_WRITE || rw == BX_RW) needed = SOFTCPU_MAP_READ | SOFTCPU_MAP_WRITE;
  if (rw == BX_EXECUTE) needed = SOFTCPU_MAP_EXECUTE;
  if ((r->flags & needed) != needed) return nullptr;
  // Who gets the address keeps it, and writes without asking again.
  if (needed & SOFTCPU_MAP_WRITE) note_write(*r, addr);
  return r->host + (addr - r->gpa);
}

void BX_MEM_C::readPhysicalPage(BX_CPU_C* cpu, bx_phy_address addr, unsigned len, void* data) {
  const Range* r = find(addr);
  if (!r || !(r->flags & SOFTCPU_MAP_READ))
    mmio_exit(cpu, addr, len, 0, cpu->access_laddr, r != nullptr);
  memcpy(data, r->host + (addr - r->gpa), len);
}

void BX_MEM_C::writePhysicalPage(BX_CPU_C* cpu, bx_phy_address addr, unsigned len, void* data) {
  const Range* r = find(addr);
  if (!r || !(r->flags & SOFTCPU_MAP_WRITE))
    mmio_exit(cpu, addr, len, 1, cpu->access_laddr, r != nullptr);
  bx_machine->stamps->decWriteStamp(addr, len);
  note_write(*r, addr);
  memcpy(r->host + (addr - r->gpa), data, len);
}

void BX_MEM_C::fetch_exit(BX_CPU_C* cpu, bx_phy_address addr, bx_address laddr) {
  mmio_exit(cpu, addr, 1, 2, laddr, find(addr) != nullptr);
}

bool BX_MEM_C::read_table(bx_phy_address addr, unsigned len, void* data) const {
  const Range* r = find(addr);
  if (r && (r->flags & SOFTCPU_MAP_READ))
    memcpy(data, r->host + (addr - r->gpa), len);
  else
    memset(data, 0xff, len);
  return true;
}

bool BX_MEM_C::write_table(bx_phy_address addr, unsigned len, const void* data) const {
  const Range* r = find(addr);
  if (r && (r->flags & SOFTCPU_MAP_WRITE)) {
    bx_machine->stamps->decWriteStamp(addr, len);
    note_write(*r, addr);
    memcpy(r->host + (addr - r->gpa), data, len);
  }
  return true;
}

void bx_machine_t::check_write_across(BX_CPU_C* cpu, unsigned rw) {
  const auto& xlation = cpu->address_xlation;
  const struct {
    bx_phy_address addr;
    unsigned len;
  } parts[] = {{xlation.paddress1, xlation.len1}, {xlation.paddress2, xlation.len2}};
  for (const auto& part : parts) {
    const BX_MEM_C::Range* r = memory->find(part.addr);
    if ((r && (r->flags & SOFTCPU_MAP_WRITE)) || cpu->lapic->is_selected(part.addr)) continue;
    // Of a page that is not there, the read is told first.
    mmio_exit(cpu, part.addr, part.len, rw == BX_RW && !r ? 0 : 1, cpu->access_laddr, r != nullptr);
  }
}
