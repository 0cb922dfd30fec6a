// SPDX-License-Identifier: LGPL-2.0-or-later
// What frequent instructions do (frequent.cc), in 64-bit mode: the usual case of each, or nothing.
// Included once.
#ifndef RUNHV_SOFT_FREQUENT_OPERATIONS_H
#define RUNHV_SOFT_FREQUENT_OPERATIONS_H

#include <type_traits>

#include "vm.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

namespace {

// Adds no data: what the functions here say of a processor.
struct Cpu : BX_CPU_C {
  // ---- from one instruction to the next

  ALWAYS_INLINE void commit(unsigned count) {
    prev_rip = RIP;
    icount += count;
  }
  // Nothing here raises an event, and cpu_loop enters no trace where there is one: so none is
  // looked for.
  ALWAYS_INLINE void run(bxInstruction_c* i) {
    RIP += i->ilen();
    return i->execute1.function()(this, i);
  }
  ALWAYS_INLINE void advance(const bxInstruction_c* i) { RIP += i->ilen(); }
  // After a jump to a place that is always the same.
  ALWAYS_INLINE void link(bxInstruction_c* i) {
    if (__builtin_expect(may_enter_trace(), 1)) {
      if (bxInstruction_c* next = i->getNextTrace(iCache.mpool, iCache.traceLinkTimeStamp))
        return run(next);
      return linkTrace(i);
    }
  }
  // After one to a place that is computed.
  ALWAYS_INLINE void look_up() {
    if (__builtin_expect(may_enter_trace(), 1)) {
      const bxICache_c::Target& known = iCache.target(RIP);
      if (__builtin_expect(known.rip == RIP && known.context == iCache.context, 1))
        return run(known.trace);
      return find_trace();
    }
  }

  // ---- operands

  ALWAYS_INLINE Bit64u address(const bxInstruction_c* i) const {
    Bit64u at = gen_reg[i->sibBase()].rrx + i->displ32s();
    if (i->sibIndex() != 4) at += gen_reg[i->sibIndex()].rrx << i->sibScale();
    return at;
  }
  template <bool plain>
  ALWAYS_INLINE Bit64u linear(const bxInstruction_c* i) const {
    if constexpr (plain) return gen_reg[i->sibBase()].rrx + i->displ32s();
    Bit64u at = address(i);
    if (i->seg() >= BX_SEG_REG_FS) at += sregs[i->seg()].cache.u.segment.base;
    return at;
  }
  // Of an access within a page.
  template <class T>
  ALWAYS_INLINE const bx_TLB_entry* translation(Bit64u laddr, Bit32u rights) {
    const bx_TLB_entry* entry = DTLB.get_entry_of(laddr, sizeof(T) - 1);
    if (__builtin_expect(entry->lpf != LPFOf(laddr) || !(entry->accessBits & rights), 0))
      return nullptr;
    return entry;
  }
  template <class T>
  ALWAYS_INLINE const T* readable(Bit64u laddr) {
    const bx_TLB_entry* entry = translation<T>(laddr, rights_to_read);
    if (!entry) return nullptr;
    return reinterpret_cast<const T*>(entry->hostPageAddr | PAGE_OFFSET(laddr));
  }
  // Not of a page that holds decoded code.
  template <class T>
  ALWAYS_INLINE T* writable(Bit64u laddr) {
    const bx_TLB_entry* entry = translation<T>(laddr, rights_to_write);
    if (!entry) return nullptr;
    if (__builtin_expect(code_marks[bxPageWriteStampTable::hash(entry->ppf)], 0)) return nullptr;
    return reinterpret_cast<T*>(entry->hostPageAddr | PAGE_OFFSET(laddr));
  }

  template <class T>
  ALWAYS_INLINE T get(unsigned n) const {
    if constexpr (sizeof(T) == 8) return gen_reg[n].rrx;
    if constexpr (sizeof(T) == 4) return gen_reg[n].dword.erx;
    if constexpr (sizeof(T) == 2) return gen_reg[n].word.rx;
  }
  template <class T>
  ALWAYS_INLINE void set(unsigned n, T value) {
    static_assert(sizeof(T) >= 4);
    gen_reg[n].rrx = value;
  }
  ALWAYS_INLINE Bit8u get_byte(unsigned n, unsigned extended) const {
    return (n & 4) == 0 || extended ? gen_reg[n].word.byte.rl : gen_reg[n - 4].word.byte.rh;
  }

  ALWAYS_INLINE void set_byte(unsigned n, unsigned extended, Bit8u value) {
    ((n & 4) == 0 || extended ? gen_reg[n].word.byte.rl : gen_reg[n - 4].word.byte.rh) = value;
  }

  // ---- flags

  template <class T>
  ALWAYS_INLINE void flags(T carries, T result) {
    if constexpr (sizeof(T) == 8) SET_FLAGS_OSZAPC_64(carries, result);
    if constexpr (sizeof(T) == 4) SET_FLAGS_OSZAPC_32(carries, result);
    if constexpr (sizeof(T) == 2) SET_FLAGS_OSZAPC_16(carries, result);
    if constexpr (sizeof(T) == 1) SET_FLAGS_OSZAPC_8(carries, result);
  }

  template <class T>
  ALWAYS_INLINE void flags_but_carry(T carries, T result) {
    if constexpr (sizeof(T) == 8) SET_FLAGS_OSZAP_64(carries, result);
    if constexpr (sizeof(T) == 4) SET_FLAGS_OSZAP_32(carries, result);
  }

  // ---- jumps

  ALWAYS_INLINE Bit64u rip() const { return RIP; }
  ALWAYS_INLINE bool go_to(Bit64u to) {
    if (__builtin_expect(!IsCanonical48(to), 0)) return false;
    RIP = to;
    return true;
  }
  ALWAYS_INLINE bool call(const bxInstruction_c* i, Bit64u to) {
    const Bit64u top = RSP - 8, back = RIP;
    Bit64u* at = writable<Bit64u>(top);
    if (!at || !go_to(to)) return false;
    *at = back;
    RSP = top;
    // The end of the trace, which is after a call, is linked with the place that it returns to.
    bxInstruction_c* link = const_cast<bxInstruction_c*>(i) + 1;
    bxICache_c::Return& known = iCache.returns[iCache.return_top++ % BX_ICACHE_RETURNS];
    known.rip = back;
    known.context = iCache.context;
    known.trace = link->getNextTrace(iCache.mpool, iCache.traceLinkTimeStamp);
    known.link = link;
    __builtin_prefetch(known.trace);
    return true;
  }
  ALWAYS_INLINE void return_to() {
    if (__builtin_expect(may_enter_trace(), 1)) {
      const bxICache_c::Return& known = iCache.returns[--iCache.return_top % BX_ICACHE_RETURNS];
      if (__builtin_expect(known.rip == RIP && known.context == iCache.context, 1)) {
        if (__builtin_expect(known.trace != nullptr, 1)) return run(known.trace);
        return linkTrace(known.link);
      }
      return find_trace();
    }
  }
};

// ---- what is done with two values; kWrites: and the result kept

struct Add {
  static constexpr bool kWrites = true;
  template <class T>
  static ALWAYS_INLINE T apply(Cpu& c, T a, T b) {
    T r = a + b;
    c.flags<T>(ADD_COUT_VEC(a, b, r), r);
    return r;
  }
};
struct Subtract {
  static constexpr bool kWrites = true;
  template <class T>
  static ALWAYS_INLINE T apply(Cpu& c, T a, T b) {
    T r = a - b;
    c.flags<T>(SUB_COUT_VEC(a, b, r), r);
    return r;
  }
};
struct Compare : Subtract {
  static constexpr bool kWrites = false;
};
struct And {
  static constexpr bool kWrites = true;
  template <class T>
  static ALWAYS_INLINE T apply(Cpu& c, T a, T b) {
    T r = a & b;
    c.flags<T>(0, r);
    return r;
  }
};
struct Test : And {
  static constexpr bool kWrites = false;
};
struct Or {
  static constexpr bool kWrites = true;
  template <class T>
  static ALWAYS_INLINE T apply(Cpu& c, T a, T b) {
    T r = a | b;
    c.flags<T>(0, r);
    return r;
  }
};
struct Xor {
  static constexpr bool kWrites = true;
  template <class T>
  static ALWAYS_INLINE T apply(Cpu& c, T a, T b) {
    T r = a ^ b;
    c.flags<T>(0, r);
    return r;
  }
};

struct Increment {
  template <class T>
  static ALWAYS_INLINE T apply(Cpu& c, T a) {
    T r = a + 1;
    c.flags_but_carry<T>(ADD_COUT_VEC(a, T(0), r), r);
    return r;
  }
};
struct Decrement {
  template <class T>
  static ALWAYS_INLINE T apply(Cpu& c, T a) {
    T r = a - 1;
    c.flags_but_carry<T>(SUB_COUT_VEC(a, T(0), r), r);
    return r;
  }
};
struct Negate {
  template <class T>
  static ALWAYS_INLINE T apply(Cpu& c, T a) {
    T r = -a;
    c.flags<T>(SUB_COUT_VEC(T(0), a, r), r);
    return r;
  }
};
struct Invert {
  template <class T>
  static ALWAYS_INLINE T apply(Cpu&, T a) {
    return ~a;
  }
};
struct ShiftLeft {
  template <class T>
  static ALWAYS_INLINE T apply(Cpu& c, T a, unsigned count) {
    const T r = a << count;
    const unsigned cf = (a >> (sizeof(T) * 8 - count)) & 1;
    c.flags<T>(0, r);
    c.oszapc.set_flags_OxxxxC(cf ^ unsigned(r >> (sizeof(T) * 8 - 1)), cf);
    return r;
  }
};
struct ShiftRight {
  template <class T>
  static ALWAYS_INLINE T apply(Cpu& c, T a, unsigned count) {
    const T r = a >> count;
    c.flags<T>(0, r);
    c.oszapc.set_flags_OxxxxC(unsigned(T((r << 1) ^ r) >> (sizeof(T) * 8 - 1)),
                              (a >> (count - 1)) & 1);
    return r;
  }
};
struct ShiftSigned {
  template <class T>
  static ALWAYS_INLINE T apply(Cpu& c, T a, unsigned count) {
    const T r = T(std::make_signed_t<T>(a) >> count);
    c.flags<T>(0, r);
    c.oszapc.set_flags_OxxxxC(0, (a >> (count - 1)) & 1);
    return r;
  }
};

// ---- conditions

#define CONDITION(name, expression)                                  \
  struct name {                                                      \
    static ALWAYS_INLINE bool holds(Cpu& c) { return (expression); } \
  }
CONDITION(IfZ, c.get_ZF());
CONDITION(IfNZ, !c.get_ZF());
CONDITION(IfB, c.get_CF());
CONDITION(IfNB, !c.get_CF());
CONDITION(IfBE, c.get_CF() || c.get_ZF());
CONDITION(IfNBE, !(c.get_CF() || c.get_ZF()));
CONDITION(IfS, c.get_SF());
CONDITION(IfNS, !c.get_SF());
CONDITION(IfL, c.getB_SF() != c.getB_OF());
CONDITION(IfNL, c.getB_SF() == c.getB_OF());
CONDITION(IfLE, c.get_ZF() || c.getB_SF() != c.getB_OF());
CONDITION(IfNLE, !c.get_ZF() && c.getB_SF() == c.getB_OF());
#undef CONDITION

// ---- operations. run(): true when done, false when nothing has been done.

template <class T>
struct MoveRegister {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    c.set<T>(i->dst(), c.get<T>(i->src()));
    return true;
  }
};
template <class T>
struct MoveImmediate {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    c.set<T>(i->dst(), T(Bit32s(i->Id())));
    return true;
  }
};
struct MoveQuad {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    c.set<Bit64u>(i->dst(), i->Iq());
    return true;
  }
};
// T: what is loaded, with its sign or not; R: what it becomes. plain: its address is a register and
// a number.
template <bool plain, class T, class R = T>
struct Load {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    const T* from = c.readable<T>(c.linear<plain>(i));
    if (!from) return false;
    if constexpr (sizeof(R) == 8)
      c.set<Bit64u>(i->dst(), Bit64u(R(*from)));
    else
      c.set<Bit64u>(i->dst(), Bit32u(R(*from)));
    return true;
  }
};
template <bool plain, class T>
struct Store {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    T* to = c.writable<T>(c.linear<plain>(i));
    if (!to) return false;
    *to = c.get<T>(i->src());
    return true;
  }
};
template <bool plain>
struct StoreByte {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    Bit8u* to = c.writable<Bit8u>(c.linear<plain>(i));
    if (!to) return false;
    *to = c.get_byte(i->src(), i->extend8bitL());
    return true;
  }
};
template <bool plain, class T>
struct StoreImmediate {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    T* to = c.writable<T>(c.linear<plain>(i));
    if (!to) return false;
    *to = T(Bit32s(i->Id()));
    return true;
  }
};
template <class T>
struct Address {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    c.set<T>(i->dst(), T(c.address(i)));
    return true;
  }
};
template <class T, class R>
struct ExtendRegister {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    T value;
    if constexpr (sizeof(T) == 1)
      value = T(c.get_byte(i->src(), i->extend8bitL()));
    else if constexpr (sizeof(T) == 2)
      value = T(c.get<Bit16u>(i->src()));
    else
      value = T(c.get<Bit32u>(i->src()));
    if constexpr (sizeof(R) == 8)
      c.set<Bit64u>(i->dst(), Bit64u(R(value)));
    else
      c.set<Bit64u>(i->dst(), Bit32u(R(value)));
    return true;
  }
};
// register, register
template <class F, class T>
struct Registers {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    T r = F::template apply<T>(c, c.get<T>(i->dst()), c.get<T>(i->src()));
    if constexpr (F::kWrites) c.set<T>(i->dst(), r);
    return true;
  }
};
template <class F, class T>
struct Immediate {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    T r = F::template apply<T>(c, c.get<T>(i->dst()), T(Bit32s(i->Id())));
    if constexpr (F::kWrites) c.set<T>(i->dst(), r);
    return true;
  }
};
template <class F>
struct ByteRegisters {
  static_assert(!F::kWrites);
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    F::template apply<Bit8u>(c, c.get_byte(i->dst(), i->extend8bitL()),
                             c.get_byte(i->src(), i->extend8bitL()));
    return true;
  }
};
template <class F>
struct ByteImmediate {
  static_assert(!F::kWrites);
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    F::template apply<Bit8u>(c, c.get_byte(i->dst(), i->extend8bitL()), i->Ib());
    return true;
  }
};
// register, memory
template <bool plain, class F, class T>
struct FromMemory {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    const T* from = c.readable<T>(c.linear<plain>(i));
    if (!from) return false;
    T r = F::template apply<T>(c, c.get<T>(i->dst()), *from);
    if constexpr (F::kWrites) c.set<T>(i->dst(), r);
    return true;
  }
};
// memory, register, and nothing is written
template <bool plain, class F, class T>
struct MemoryRegister {
  static_assert(!F::kWrites);
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    const T* from = c.readable<T>(c.linear<plain>(i));
    if (!from) return false;
    F::template apply<T>(c, *from, c.get<T>(i->src()));
    return true;
  }
};
template <bool plain, class F, class T>
struct MemoryImmediate {
  static_assert(!F::kWrites);
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    const T* from = c.readable<T>(c.linear<plain>(i));
    if (!from) return false;
    F::template apply<T>(c, *from, sizeof(T) == 1 ? T(i->Ib()) : T(Bit32s(i->Id())));
    return true;
  }
};
template <class T>
struct Zero {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    c.set<T>(i->dst(), 0);
    c.flags<Bit32u>(0, 0);
    return true;
  }
};
struct Nothing {
  static ALWAYS_INLINE bool run(Cpu&, const bxInstruction_c*) { return true; }
};
struct Push {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    const Bit64u top = c.get<Bit64u>(BX_64BIT_REG_RSP) - 8;
    Bit64u* to = c.writable<Bit64u>(top);
    if (!to) return false;
    *to = c.get<Bit64u>(i->dst());
    c.set<Bit64u>(BX_64BIT_REG_RSP, top);
    return true;
  }
};
struct Pop {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    const Bit64u top = c.get<Bit64u>(BX_64BIT_REG_RSP);
    const Bit64u* from = c.readable<Bit64u>(top);
    if (!from) return false;
    c.set<Bit64u>(BX_64BIT_REG_RSP, top + 8);
    c.set<Bit64u>(i->dst(), *from);
    return true;
  }
};

// memory, register or number, and the result to memory
template <bool plain, class F, class T>
struct ToMemory {
  static_assert(F::kWrites);
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    T* at = c.writable<T>(c.linear<plain>(i));
    if (!at) return false;
    *at = F::template apply<T>(c, *at, c.get<T>(i->src()));
    return true;
  }
};
template <bool plain, class F, class T>
struct ImmediateToMemory {
  static_assert(F::kWrites);
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    T* at = c.writable<T>(c.linear<plain>(i));
    if (!at) return false;
    *at = F::template apply<T>(c, *at, sizeof(T) == 1 ? T(i->Ib()) : T(Bit32s(i->Id())));
    return true;
  }
};
template <bool plain, class F, class T>
struct OneOfMemory {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    T* at = c.writable<T>(c.linear<plain>(i));
    if (!at) return false;
    *at = F::template apply<T>(c, *at);
    return true;
  }
};
template <class F, class T>
struct OneRegister {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    c.set<T>(i->dst(), F::template apply<T>(c, c.get<T>(i->dst())));
    return true;
  }
};
// By a number, which may be 0.
template <class F, class T>
struct Shift {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    const unsigned count = i->Ib() & (sizeof(T) * 8 - 1);
    if (!count) return false;
    c.set<T>(i->dst(), F::template apply<T>(c, c.get<T>(i->dst()), count));
    return true;
  }
};
struct PushImmediate {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    const Bit64u top = c.get<Bit64u>(BX_64BIT_REG_RSP) - 8;
    Bit64u* to = c.writable<Bit64u>(top);
    if (!to) return false;
    *to = Bit64u(Bit64s(Bit32s(i->Id())));
    c.set<Bit64u>(BX_64BIT_REG_RSP, top);
    return true;
  }
};
struct MoveByte {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    c.set_byte(i->dst(), i->extend8bitL(), c.get_byte(i->src(), i->extend8bitL()));
    return true;
  }
};
template <class C>
struct SetByte {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    c.set_byte(i->dst(), i->extend8bitL(), C::holds(c) ? 1 : 0);
    return true;
  }
};
template <class C, class T>
struct MoveIf {
  static ALWAYS_INLINE bool run(Cpu& c, const bxInstruction_c* i) {
    c.set<T>(i->dst(), c.get<T>(C::holds(c) ? i->src() : i->dst()));
    return true;
  }
};

// ---- jumps

// What run() of a jump says besides, and how the next trace is found then.
constexpr int kJumps = 2;
enum class Then { kLink, kLookUp, kReturn };

template <class C>
struct Branch {
  static constexpr Then kThen = Then::kLink;
  static ALWAYS_INLINE int run(Cpu& c, const bxInstruction_c* i) {
    if (!C::holds(c)) return true;
    return c.go_to(c.rip() + Bit32s(i->Id())) ? kJumps : 0;
  }
};
struct Jump {
  static constexpr Then kThen = Then::kLink;
  static ALWAYS_INLINE int run(Cpu& c, const bxInstruction_c* i) {
    return c.go_to(c.rip() + Bit32s(i->Id())) ? kJumps : 0;
  }
};
struct JumpRegister {
  static constexpr Then kThen = Then::kLookUp;
  static ALWAYS_INLINE int run(Cpu& c, const bxInstruction_c* i) {
    return c.go_to(c.get<Bit64u>(i->dst())) ? kJumps : 0;
  }
};
template <bool plain>
struct JumpMemory {
  static constexpr Then kThen = Then::kLookUp;
  static ALWAYS_INLINE int run(Cpu& c, const bxInstruction_c* i) {
    const Bit64u* from = c.readable<Bit64u>(c.linear<plain>(i));
    return from && c.go_to(*from) ? kJumps : 0;
  }
};
struct Call {
  static constexpr Then kThen = Then::kLink;
  static ALWAYS_INLINE int run(Cpu& c, const bxInstruction_c* i) {
    return c.call(i, c.rip() + Bit32s(i->Id())) ? kJumps : 0;
  }
};
struct CallRegister {
  static constexpr Then kThen = Then::kLookUp;
  static ALWAYS_INLINE int run(Cpu& c, const bxInstruction_c* i) {
    return c.call(i, c.get<Bit64u>(i->dst())) ? kJumps : 0;
  }
};
template <bool plain>
struct CallMemory {
  static constexpr Then kThen = Then::kLookUp;
  static ALWAYS_INLINE int run(Cpu& c, const bxInstruction_c* i) {
    const Bit64u* from = c.readable<Bit64u>(c.linear<plain>(i));
    return from && c.call(i, *from) ? kJumps : 0;
  }
};
struct Return {
  static constexpr Then kThen = Then::kReturn;
  static ALWAYS_INLINE int run(Cpu& c, const bxInstruction_c* i) {
    const Bit64u top = c.get<Bit64u>(BX_64BIT_REG_RSP);
    const Bit64u* from = c.readable<Bit64u>(top);
    if (!from || !c.go_to(*from)) return 0;
    c.set<Bit64u>(BX_64BIT_REG_RSP, top + 8 + i->Iw());
    return kJumps;
  }
};

}  // namespace

#endif
