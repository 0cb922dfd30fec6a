// SPDX-License-Identifier: LGPL-2.0-or-later
// Stands in for Bochs's pc_system.h: time is the caller's clock, and the only timers are those of
// the local APICs.
#ifndef BX_PCSYS_H
#define BX_PCSYS_H

typedef void (*bx_timer_handler_t)(void*);

class bx_pc_system_c {
 public:
  bx_pc_system_c(Bit64u (*now_ns)(void*), void* context, Bit64u tsc_hz, Bit64u apic_hz);

  bool kill_bochs_request = false;

  Bit64u time_ticks() const;  // of the TSC, since creation
  Bit64u apic_ticks() const;  // of the APIC timer's input, since creation
  Bit64u next_period(Bit64u start, Bit64u period) const;

  int register_timer_ticks(void* object, bx_timer_handler_t fire, Bit64u, bool, bool, const char*);
  void arm_tsc(int handle, Bit64u tsc, Bit64s adjust);
  void arm_apic(int handle, Bit64u tick);
  void deactivate_timer(int handle);
  void fire_due();
  Bit64u next_due_ns() const { return next_due_; }
  Bit64u now_ns() const { return now_(context_); }

  // Bounds one step of the fast string operations; a page bounds them already.
  Bit32u getNumCpuTicksLeftNextEvent() const { return 0x7fffffff; }
  int Reset(unsigned type);
  void invlpg(bx_address) {}

 private:
  struct Timer {
    void* object;
    bx_timer_handler_t fire;
    Bit64u due_ns;  // never: ~0
  };
  void arm(int handle, Bit64u tick, Bit64u hz);
  void find_next();

  Bit64u (*now_)(void*);
  void* context_;
  Bit64u tsc_hz_, apic_hz_, start_ns_;
  Timer timers_[64];
  int count_ = 0;
  Bit64u next_due_ = ~Bit64u(0);
};

#define bx_pc_system (*bx_machine->pc_system)
#define BX_TICK1()
// Eight steps of a fast string operation cost about as much as one instruction.
#define BX_TICKN(n) (BX_CPU_THIS_PTR charge_host_time((n) / 8))
#define BX_HRQ 0
#define A20ADDR(x) ((bx_phy_address)(x))

#endif
