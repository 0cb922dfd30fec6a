// SPDX-License-Identifier: LGPL-2.0-or-later
#include "vm.h"

namespace {

constexpr Bit64u kNever = ~Bit64u(0);
constexpr Bit64u kNanoseconds = 1000000000;
using Wide = unsigned __int128;

Bit64u scale(Bit64u ns, Bit64u hz) { return Bit64u(Wide(ns) * hz / kNanoseconds); }

}  // namespace

bx_pc_system_c::bx_pc_system_c(Bit64u (*now_ns)(void*), void* context, Bit64u tsc_hz,
                               Bit64u apic_hz)
    : now_(now_ns),
      context_(context),
      tsc_hz_(tsc_hz),
      apic_hz_(apic_hz),
      start_ns_(now_ns(context)) {}

Bit64u bx_pc_system_c::time_ticks() const { return scale(now_(context_) - start_ns_, tsc_hz_); }

Bit64u bx_pc_system_c::apic_ticks() const { return scale(now_(context_) - start_ns_, apic_hz_); }

// Start of the period that is running now, of those that began at `start`.
Bit64u bx_pc_system_c::next_period(Bit64u start, Bit64u period) const {
  Bit64u now = apic_ticks();
  if (period == 0 || now < start) return now;
  return now - (now - start) % period;
}

int bx_pc_system_c::register_timer_ticks(void* object, bx_timer_handler_t fire, Bit64u, bool, bool,
                                         const char*) {
  timers_[count_] = {object, fire, kNever};
  return count_++;
}

void bx_pc_system_c::arm(int handle, Bit64u tick, Bit64u hz) {
  // Rounded up, so that at due_ns the counter has reached the tick.
  Wide ns = (Wide(tick) * kNanoseconds + hz - 1) / hz + start_ns_;
  timers_[handle].due_ns = ns < kNever ? Bit64u(ns) : kNever - 1;
  find_next();
  if (BX_CPU_C* running = vm_of(bx_machine)->running.load()) running->set_next_poll();
}

void bx_pc_system_c::arm_tsc(int handle, Bit64u tsc, Bit64s adjust) {
  __int128 tick = static_cast<__int128>(tsc) - adjust;
  if (tick < 0) tick = 0;
  arm(handle, tick < kNever ? Bit64u(tick) : kNever, tsc_hz_);
}

void bx_pc_system_c::arm_apic(int handle, Bit64u tick) { arm(handle, tick, apic_hz_); }

void bx_pc_system_c::deactivate_timer(int handle) {
  timers_[handle].due_ns = kNever;
  find_next();
}

// Each timer fires at most once a call: a guest that asks for a period shorter than the clock's
// resolution does not hold the host.
void bx_pc_system_c::fire_due() {
  if (next_due_ == kNever) return;
  Bit64u now = now_(context_);
  if (now < next_due_) return;
  for (int i = 0; i < count_; i++) {
    if (timers_[i].due_ns > now) continue;
    timers_[i].due_ns = kNever;
    timers_[i].fire(timers_[i].object);
  }
  find_next();
}

void bx_pc_system_c::find_next() {
  next_due_ = kNever;
  for (int i = 0; i < count_; i++)
    if (timers_[i].due_ns < next_due_) next_due_ = timers_[i].due_ns;
}
