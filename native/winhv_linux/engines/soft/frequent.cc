// SPDX-License-Identifier: LGPL-2.0-or-later
// The instructions that kernels and C programs run most, in 64-bit mode, have functions of our own
// in place of Bochs's. Each does the usual case, and leaves what is not (a page that no TLB entry
// is for, a write to a page with decoded code) to Bochs's function for the same instruction, before
// it has changed anything. Several that often follow one another are one function: what costs most
// is the jump from an instruction to the next, which the host mostly guesses wrongly.
#define NEED_CPU_REG_SHORTCUTS 1

#include <cstdlib>
#include <type_traits>
#include <utility>

#include "frequent_operations.h"

// Wants cpu.h first.
#include "cpu/decoder/ia_opcodes.h"

#include "cpu/decoder/fetchdecode.h"

extern bxIAOpcodeTable BxOpcodesTable[];

namespace {

using Member = BxExecutePtr_tR;

// ---- which of Bochs's functions each is in place of: KIND(name, that function, the operation…).
// LOADED: that function is the second of an instruction, the first of which loads. PLAIN: only
// where the address is a register and a number.

#define BOTH(name, general, op, ...) \
  PLAIN(name, general, op<true, __VA_ARGS__>) KIND(name##_any, general, op<false, __VA_ARGS__>)
#define QD(name, q, d, op, ...) \
  KIND(name##_q, q, op<__VA_ARGS__ Bit64u>) KIND(name##_d, d, op<__VA_ARGS__ Bit32u>)
#define ALU(name, f, q, d, op) KIND(name##_q, q, op<f, Bit64u>) KIND(name##_d, d, op<f, Bit32u>)
#define MEMORY_ALU(name, f, q, d, op) \
  BOTH(name##_q, q, op, f, Bit64u) BOTH(name##_d, d, op, f, Bit32u)
// clang-format off: a list, an entry a line
#define CONDITIONAL(c)                        \
  KIND(j_##c, J##c##_Jq, Branch<If##c>)       \
  KIND(set_##c, SET##c##_EbR, SetByte<If##c>) \
  ALU(cmov_##c, If##c, CMOV##c##_GqEqR, CMOV##c##_GdEdR, MoveIf)

#define KINDS                                                                   \
  QD(mov, MOV_GqEqR, MOV_GdEdR, MoveRegister, )                                 \
  QD(mov_number, MOV_EqIdR, MOV_EdIdR, MoveImmediate, )                         \
  KIND(mov_quad, MOV_RRXIq, MoveQuad)                                           \
  KIND(mov_b, MOV_GbEbR, MoveByte)                                              \
  BOTH(load_q, MOV_GqEqM, Load, Bit64u)                                         \
  BOTH(load_d, MOV64_GdEdM, Load, Bit32u)                                       \
  BOTH(load_bd, MOVZX_GdEbM, Load, Bit8u, Bit32u)                               \
  BOTH(load_wd, MOVZX_GdEwM, Load, Bit16u, Bit32u)                              \
  KIND(load_sbd, MOVSX_GdEbM, Load<false, Bit8s, Bit32s>)                       \
  KIND(load_sdq, MOVSX_GqEdM, Load<false, Bit32s, Bit64s>)                      \
  KIND(load_stack, MOV64S_GqEqM, Load<false, Bit64u>)                           \
  BOTH(store_q, MOV_EqGqM, Store, Bit64u)                                       \
  BOTH(store_d, MOV64_EdGdM, Store, Bit32u)                                     \
  BOTH(store_w, MOV_EwGwM, Store, Bit16u)                                       \
  KIND(store_b, MOV_EbGbM, StoreByte<false>)                                    \
  KIND(store_stack, MOV64S_EqGqM, Store<false, Bit64u>)                         \
  BOTH(store_number_q, MOV_EqIdM, StoreImmediate, Bit64u)                       \
  BOTH(store_number_d, MOV_EdIdM, StoreImmediate, Bit32u)                       \
  KIND(store_number_w, MOV_EwIwM, StoreImmediate<false, Bit16u>)                \
  BOTH(store_number_b, MOV_EbIbM, StoreImmediate, Bit8u)                        \
  QD(lea, LEA_GqM, LEA_GdM, Address, )                                          \
  KIND(extend_bd, MOVZX_GdEbR, ExtendRegister<Bit8u, Bit32u>)                   \
  KIND(extend_wd, MOVZX_GdEwR, ExtendRegister<Bit16u, Bit32u>)                  \
  KIND(extend_sbd, MOVSX_GdEbR, ExtendRegister<Bit8s, Bit32s>)                  \
  KIND(extend_sdq, MOVSX_GqEdR, ExtendRegister<Bit32s, Bit64s>)                 \
  KIND(zero, ZERO_IDIOM_GdR, Zero<Bit32u>)                                      \
  KIND(nop, NOP, Nothing)                                                       \
  KIND(push, PUSH_EqR, Push)                                                    \
  KIND(push_number, PUSH64_Id, PushImmediate)                                   \
  KIND(pop, POP_EqR, Pop)                                                       \
  ALU(add, Add, ADD_GqEqR, ADD_GdEdR, Registers)                                \
  ALU(sub, Subtract, SUB_GqEqR, SUB_GdEdR, Registers)                           \
  ALU(and, And, AND_GqEqR, AND_GdEdR, Registers)                                \
  ALU(or, Or, OR_GqEqR, OR_GdEdR, Registers)                                    \
  ALU(xor, Xor, XOR_GqEqR, XOR_GdEdR, Registers)                                \
  ALU(cmp, Compare, CMP_GqEqR, CMP_GdEdR, Registers)                            \
  ALU(test, Test, TEST_EqGqR, TEST_EdGdR, Registers)                            \
  KIND(cmp_b, CMP_GbEbR, ByteRegisters<Compare>)                                \
  KIND(test_b, TEST_EbGbR, ByteRegisters<Test>)                                 \
  ALU(add_number, Add, ADD_EqIdR, ADD_EdIdR, Immediate)                         \
  ALU(sub_number, Subtract, SUB_EqIdR, SUB_EdIdR, Immediate)                    \
  ALU(and_number, And, AND_EqIdR, AND_EdIdR, Immediate)                         \
  ALU(or_number, Or, OR_EqIdR, OR_EdIdR, Immediate)                             \
  ALU(xor_number, Xor, XOR_EqIdR, XOR_EdIdR, Immediate)                         \
  ALU(cmp_number, Compare, CMP_EqIdR, CMP_EdIdR, Immediate)                     \
  ALU(test_number, Test, TEST_EqIdR, TEST_EdIdR, Immediate)                     \
  KIND(cmp_number_b, CMP_EbIbR, ByteImmediate<Compare>)                         \
  KIND(test_number_b, TEST_EbIbR, ByteImmediate<Test>)                          \
  ALU(inc, Increment, INC_EqR, INC_EdR, OneRegister)                            \
  ALU(dec, Decrement, DEC_EqR, DEC_EdR, OneRegister)                            \
  ALU(neg, Negate, NEG_EqR, NEG_EdR, OneRegister)                               \
  ALU(not, Invert, NOT_EqR, NOT_EdR, OneRegister)                               \
  ALU(shr, ShiftRight, SHR_EqR, SHR_EdR, Shift)                                 \
  ALU(shl, ShiftLeft, SHL_EqR, SHL_EdR, Shift)                                  \
  ALU(sar, ShiftSigned, SAR_EqR, SAR_EdR, Shift)                                \
  MEMORY_ALU(add_from, Add, ADD_GqEqM, ADD_GdEdM, FromMemory)                   \
  MEMORY_ALU(sub_from, Subtract, SUB_GqEqM, SUB_GdEdM, FromMemory)              \
  MEMORY_ALU(and_from, And, AND_GqEqM, AND_GdEdM, FromMemory)                   \
  MEMORY_ALU(or_from, Or, OR_GqEqM, OR_GdEdM, FromMemory)                       \
  MEMORY_ALU(xor_from, Xor, XOR_GqEqM, XOR_GdEdM, FromMemory)                   \
  MEMORY_ALU(cmp_from, Compare, CMP_GqEqM, CMP_GdEdM, FromMemory)               \
  MEMORY_ALU(cmp_memory, Compare, CMP_EqGqM, CMP_EdGdM, MemoryRegister)         \
  MEMORY_ALU(test_memory, Test, TEST_EqGqM, TEST_EdGdM, MemoryRegister)         \
  MEMORY_ALU(cmp_memory_number, Compare, CMP_EqIdM, CMP_EdIdM, MemoryImmediate) \
  MEMORY_ALU(test_memory_number, Test, TEST_EqIdM, TEST_EdIdM, MemoryImmediate) \
  BOTH(cmp_memory_number_b, CMP_EbIbM, MemoryImmediate, Compare, Bit8u)         \
  BOTH(test_memory_number_b, TEST_EbIbM, MemoryImmediate, Test, Bit8u)          \
  MEMORY_ALU(add_to, Add, ADD_EqGqM, ADD_EdGdM, ToMemory)                       \
  MEMORY_ALU(sub_to, Subtract, SUB_EqGqM, SUB_EdGdM, ToMemory)                  \
  MEMORY_ALU(and_to, And, AND_EqGqM, AND_EdGdM, ToMemory)                       \
  MEMORY_ALU(or_to, Or, OR_EqGqM, OR_EdGdM, ToMemory)                           \
  MEMORY_ALU(add_number_to, Add, ADD_EqIdM, ADD_EdIdM, ImmediateToMemory)       \
  MEMORY_ALU(sub_number_to, Subtract, SUB_EqIdM, SUB_EdIdM, ImmediateToMemory)  \
  MEMORY_ALU(and_number_to, And, AND_EqIdM, AND_EdIdM, ImmediateToMemory)       \
  MEMORY_ALU(or_number_to, Or, OR_EqIdM, OR_EdIdM, ImmediateToMemory)           \
  MEMORY_ALU(inc_memory, Increment, INC_EqM, INC_EdM, OneOfMemory)              \
  MEMORY_ALU(dec_memory, Decrement, DEC_EqM, DEC_EdM, OneOfMemory)              \
  CONDITIONAL(Z)                                                                \
  CONDITIONAL(NZ)                                                               \
  CONDITIONAL(B)                                                                \
  CONDITIONAL(NB)                                                               \
  CONDITIONAL(BE)                                                               \
  CONDITIONAL(NBE)                                                              \
  CONDITIONAL(S)                                                                \
  CONDITIONAL(NS)                                                               \
  CONDITIONAL(L)                                                                \
  CONDITIONAL(NL)                                                               \
  CONDITIONAL(LE)                                                               \
  CONDITIONAL(NLE)                                                              \
  KIND(jmp, JMP_Jq, Jump)                                                       \
  KIND(jmp_to, JMP_EqR, JumpRegister)                                           \
  LOADED(jmp_memory, JMP_EqR, JumpMemory<false>)                                \
  KIND(call, CALL_Jq, Call)                                                     \
  KIND(call_to, CALL_EqR, CallRegister)                                         \
  LOADED(call_memory, CALL_EqR, CallMemory<false>)                              \
  KIND(ret, RETnear64_Iw, Return)
// clang-format on

// Counted from 1: 0 is an instruction that is none of these.
enum : unsigned {
  kNone,
#define KIND(name, general, ...) k_##name,
#define PLAIN KIND
#define LOADED KIND
  KINDS
#undef KIND
#undef PLAIN
#undef LOADED
      kKinds
};
static_assert(kKinds <= 256);

template <unsigned kind>
struct Kind;
#define SPECIFIC(name, first, second, plain, ...)              \
  template <>                                                  \
  struct Kind<k_##name> {                                      \
    using Operation = __VA_ARGS__;                             \
    static constexpr Member kGeneral = first, kInner = second; \
    static constexpr bool kPlain = plain;                      \
    static constexpr const char* kName = #name;                \
  };
#define KIND(name, general, ...) SPECIFIC(name, &BX_CPU_C::general, nullptr, false, __VA_ARGS__)
#define PLAIN(name, general, ...) SPECIFIC(name, &BX_CPU_C::general, nullptr, true, __VA_ARGS__)
#define LOADED(name, inner, ...) \
  SPECIFIC(name, &BX_CPU_C::LOAD_Eq, &BX_CPU_C::inner, false, __VA_ARGS__)
KINDS
#undef KIND
#undef PLAIN
#undef LOADED
#undef SPECIFIC

// These share their function with others that shift by a number.
bool shifts_by_register(unsigned opcode) {
  switch (opcode) {
    case BX_IA_SHL_Eq:
    case BX_IA_SHR_Eq:
    case BX_IA_SAR_Eq:
    case BX_IA_SHL_Ed:
    case BX_IA_SHR_Ed:
    case BX_IA_SAR_Ed:
      return true;
    default:
      return false;
  }
}

// ---- the functions

// `before`: instructions that have been done and not been counted.
template <class K>
__attribute__((noinline)) void general(BX_CPU_C* cpu, bxInstruction_c* i, unsigned before) {
  if (before) {
    cpu->prev_rip = static_cast<Cpu*>(cpu)->rip() - i->ilen();
    cpu->icount += before;
  }
  (cpu->*K::kGeneral)(i);
}

template <class K>
constexpr bool kIsJump =
    std::is_same_v<decltype(K::Operation::run(std::declval<Cpu&>(), nullptr)), int>;

// One or several that follow one another. RIP is after the first.
template <unsigned before, unsigned kind, unsigned... others>
ALWAYS_INLINE void execute(Cpu& c, bxInstruction_c* i) {
  using K = Kind<kind>;
  const int done = K::Operation::run(c, i);
  if (__builtin_expect(!done, 0)) return general<K>(&c, i, before);
  if constexpr (kIsJump<K>) {
    if (done == kJumps) {
      c.commit(before + 1);
      if constexpr (K::Operation::kThen == Then::kLink) return c.link(i);
      if constexpr (K::Operation::kThen == Then::kLookUp) return c.look_up();
      if constexpr (K::Operation::kThen == Then::kReturn) return c.return_to();
    }
  }
  if constexpr (sizeof...(others) == 0) {
    c.commit(before + 1);
    return c.run(i + 1);
  } else {
    c.advance(i + 1);
    return execute<before + 1, others...>(c, i + 1);
  }
}

template <unsigned... kinds>
void sequence(BX_CPU_C* cpu, bxInstruction_c* i) {
  return execute<0, kinds...>(*static_cast<Cpu*>(cpu), i);
}

// ---- the choice, when an instruction has been decoded

// The sequences are paths from the root: a place for each that one begins with, found by the place
// before and the kind.
class Sequences {
 public:
  template <unsigned... kinds>
  void add() {
    unsigned at = 0;
    ((at = place(at, kinds)), ...);
    steps_[at].function = BxExecute(sequence<kinds...>);
  }
  // The longest that begins there; `length`: of it. At `end` nothing is known.
  BxExecute longest(const bxInstruction_c* i, unsigned* length) const {
    BxExecute best = steps_[0].function;
    unsigned at = 0;
    for (unsigned n = 0; i[n].kind; n++) {
      at = find(at, i[n].kind);
      if (!steps_[at].kind) break;
      if (!steps_[at].function.offset) continue;
      best = steps_[at].function;
      *length = n + 1;
    }
    return best;
  }

 private:
  static constexpr unsigned kSteps = 4096;  // a power of two; half of them may be taken
  struct Step {
    BxExecute function;
    Bit16u before;
    Bit8u kind;  // 0: nothing here, or the root, which nobody looks for
  };
  // Where it is, or would be; never 0.
  unsigned find(unsigned before, unsigned kind) const {
    unsigned at = (before * 0x9e37u + kind * 0x85ebu) % kSteps;
    while (at == 0 || (steps_[at].kind && (steps_[at].kind != kind || steps_[at].before != before)))
      at = (at + 1) % kSteps;
    return at;
  }
  unsigned place(unsigned before, unsigned kind) {
    const unsigned at = find(before, kind);
    if (!steps_[at].kind && ++taken_ > kSteps / 2) abort();  // find() needs a free place
    steps_[at].before = Bit16u(before);
    steps_[at].kind = Bit8u(kind);
    return at;
  }

  Step steps_[kSteps] = {};
  unsigned taken_ = 0;
};

struct Choice {
  Member general[kKinds] = {}, inner[kKinds] = {};
  BxExecute alone[kKinds] = {};
  Bit8u plain[kKinds] = {};  // of a kind: the one where the address is plain
  Bit8u memory[BX_IA_LAST] = {},
        registers[BX_IA_LAST] = {};  // of an opcode: with an operand in memory, and without
  Sequences sequences;

  template <unsigned... kinds>
  void fill(std::integer_sequence<unsigned, kinds...>) {
    ((sequences.add<kinds + 1>(), alone[kinds + 1] = BxExecute(sequence<kinds + 1>),
      general[kinds + 1] = Kind<kinds + 1>::kGeneral, inner[kinds + 1] = Kind<kinds + 1>::kInner),
     ...);
    const bool is_plain[] = {false, Kind<kinds + 1>::kPlain...};
    for (unsigned n = 1; n < kKinds; n++) {
      if (is_plain[n]) continue;
      for (unsigned k = 1; k < kKinds; k++)
        if (is_plain[k] && general[k] == general[n]) plain[n] = Bit8u(k);
      for (unsigned opcode = 0; opcode < BX_IA_LAST; opcode++) {
        const bxIAOpcodeTable& entry = BxOpcodesTable[opcode];
        if (shifts_by_register(opcode)) continue;
        if (entry.execute1 == general[n] && (!inner[n] || entry.execute2 == inner[n]))
          memory[opcode] = Bit8u(n);
        if (entry.execute2 == general[n] && !inner[n]) registers[opcode] = Bit8u(n);
      }
    }
  }
  Choice() {
    fill(std::make_integer_sequence<unsigned, kKinds - 1>());
#define SEQUENCE(...) sequences.add<__VA_ARGS__>();
#include "frequent_sequences.h"
#undef SEQUENCE
  }
};

const Choice& choice() {
  static const Choice made;
  return made;
}

// At the end of a trace that was decoded.
void end_of_trace(BX_CPU_C* cpu, bxInstruction_c* i) { static_cast<Cpu*>(cpu)->link(i); }

}  // namespace

// Of the instructions of a trace that have just been decoded; others may follow at `end`.
void BX_CPU_C::choose_frequent(bxInstruction_c* first, bxInstruction_c* end) {
  const Choice& table = choice();
  for (bxInstruction_c* i = first; i < end; i++) {
    i->kind = kNone;
    if (cpu_mode != BX_MODE_LONG_64 || !i->as64L() || i->getLock()) continue;
    unsigned kind = (i->modC0() ? table.registers : table.memory)[i->getIaOpcode()];
    if (!kind || i->execute1 != table.general[kind]) continue;
    if (table.plain[kind] && i->sibIndex() == 4 && i->seg() < BX_SEG_REG_FS)
      kind = table.plain[kind];
    i->kind = Bit8u(kind);
  }
  // Within a sequence who is left to the general function comes back.
  bxInstruction_c* next = first;
  for (bxInstruction_c* i = first; i < end; i++) {
    if (!i->kind) continue;
    i->execute1 = table.alone[i->kind];
    if (i < next) continue;
    unsigned length = 1;
    i->execute1 = table.sequences.longest(i, &length);
    next = i + length;
  }
}

void BX_CPU_C::end_trace(bxInstruction_c* i) {
  i->execute1 = BxExecute(end_of_trace);
  i->handlers.next = 0;
}

// ---- from a trace to the next

namespace {

// Traces are found by physical address, and what follows a page depends on the linear one, as do
// its rights: the end of a page is no link. (A jump to another page is, as Bochs has it.)
bool is_end_of_page(const bxInstruction_c* i, Bit64u rip) {
  return i->ilen() == 0 && PAGE_OFFSET(rip) == 0;
}

}  // namespace

// Fetching from a page with a breakpoint raises an event, which a trace would not see.
void BX_CPU_C::linkTrace(bxInstruction_c* i) {
  if (async_event || !may_enter_trace()) return;
  bxInstruction_c* next = i->getNextTrace(iCache.mpool, iCache.traceLinkTimeStamp);
  if (!next) {
    next = known_trace();
    if (!next || async_event) return;
    if (!dr7.get_bp_enabled() && !is_end_of_page(i, RIP))
      i->setNextTrace(iCache.mpool, next, iCache.traceLinkTimeStamp);
  }
  RIP += next->ilen();
  return next->execute1.function()(this, next);
}

void BX_CPU_C::find_trace() {
  bxInstruction_c* next = known_trace();
  if (!next || async_event) return;
  if (!dr7.get_bp_enabled()) iCache.target(RIP) = {RIP, iCache.context, next};
  RIP += next->ilen();
  return next->execute1.function()(this, next);
}

// The trace at RIP, if it has been decoded.
bxInstruction_c* BX_CPU_C::known_trace() {
  Bit64u biased = RIP + eipPageBias;
  if (biased >= eipPageWindowSize) {
    prefetch();
    biased = RIP + eipPageBias;
  }
  const bxICacheEntry_c* entry = iCache.find_entry(pAddrFetchPage + biased, fetchModeMask);
  return entry ? entry->i : nullptr;
}
