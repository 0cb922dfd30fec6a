#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.0-or-later
"""Edits the unpacked Bochs 3.0 source for use as a library: edits.py SOURCE_DIR.

Each edit names a file, the text that must stand in it a known number of times, and its replacement.
A missing or repeated anchor ends the build: a changed source must be looked at, not guessed at.
README.md says why each group exists.
"""
import pathlib
import sys

EDITS = []


def edit(path, old, new, count=1):
    EDITS.append((path, old, new, count))


# ---- Many machines in one process: what was global belongs to a bx_machine_t. Members of BX_CPU_C
# and of the local APIC see their own `bx_machine`; free functions see the thread's.
edit("bochs.h", '#include "osdep.h"       /* platform dependent includes and defines */',
     '#include "osdep.h"\n#include "bx_machine.h"')
edit("bochs.h", "#define BX_CPU(x)                   (bx_cpu_array[x])",
     "#define BX_CPU(x)                   (bx_machine->cpus[x])")
edit("bochs.h", "#define BX_MEM(x)                   (&bx_mem)",
     "#define BX_MEM(x)                   (bx_machine->memory)")
# The processors of a machine take turns, so each runs its traces linked as a single one would.
edit("bochs.h", "  #define BX_SMP_PROCESSORS (bx_cpu_count)", "  #define BX_SMP_PROCESSORS 1")
edit("cpu/cpu.h", "BOCHSAPI extern BX_CPU_C **bx_cpu_array;\n", "")
edit("cpu/cpu.h", "  static jmp_buf jmp_buf_env;", """  jmp_buf jmp_buf_env;
  bx_machine_t *bx_machine = ::bx_machine;
  std::atomic<Bit64u> run_until{0}; // icount at which linked traces must return to cpu_loop; other
                               // threads put 0 there
  std::atomic<bool> called{false}; // another thread wants poll_host()
  Bit64u slice_end = 0;        // icount at which cpu_loop must return to its caller
  Bit64u poll_at = 0;          // icount at which the host must be looked at
  Bit64u charged = 0;          // of the host's time, in instructions, and not yet taken off poll_at
  Bit64u uncounted = 0;        // part of icount that is no completed instruction
  bx_address access_laddr = 0; // linear address of the data access in progress
  bool delivering_event = false;
  bool window_requested = false, nmi_window_requested = false;
  bool injection_pending = false;
  bool poll_host(void);
  void run_one(void);
  void inject_event(void);
  void set_run_until(void);
  void set_next_poll(void);
  void call(void);             // any thread: poll_host() before the next trace
  void charge_host_time(Bit64u instructions); // that as much time is worth
  [[noreturn]] void exit_now(void); // leaves cpu_loop with the instruction not executed
  // frequent.cc
  const Bit32u *code_marks = ::bx_machine->stamps->marks(); // by page, not 0: it holds decoded code
  // What a translation must allow. Where alignment is looked at (it may be no more: SYSCALL does not say so), nothing does.
  Bit32u rights_to_read = 0, rights_to_write = 0;
  void note_rights(void) {
    rights_to_read = alignment_check_mask ? 0 : TLB_SysReadOK << unsigned(user_pl);
    rights_to_write = alignment_check_mask ? 0 : TLB_SysWriteOK << unsigned(user_pl);
  }
  const Bit8u *stack_end = NULL; // what lies below is left to functions that are called, not jumped to
  void choose_frequent(bxInstruction_c *first, bxInstruction_c *end);
  void end_trace(bxInstruction_c *i);
  bxInstruction_c *known_trace(void);
  void find_trace(void);
  // No budget has run out, nobody calls, and functions that are called and not jumped to have left stack.
  bool may_enter_trace(void) const {
    const Bit8u *stack;
#ifdef __x86_64__
    asm("mov %%rsp, %0" : "=r"(stack));
#else
    stack = (const Bit8u *) __builtin_frame_address(0);
#endif
    return icount < run_until.load(std::memory_order_relaxed) && stack > stack_end;
  }""")
edit("cpu/cpu.cc", "jmp_buf BX_CPU_C::jmp_buf_env;\n", "")
edit("cpu/cpu.cc", "  BX_CPU_THIS_PTR cpuloop_stack_anchor = &stack_anchor;\n", "  BX_CPU_THIS_PTR stack_end = (const Bit8u *) &stack_anchor - 0x10000;\n")
edit("cpu/icache.h", "extern bxPageWriteStampTable pageWriteStampTable;",
     "#define pageWriteStampTable (*bx_machine->stamps)")
edit("cpu/icache.cc", "bxPageWriteStampTable pageWriteStampTable;\n", "")
edit("cpu/icache.cc", "i<BX_SMP_PROCESSORS", "i<bx_machine->cpu_count", 2)
edit("cpu/apic.cc", "i<BX_SMP_PROCESSORS", "i<bx_machine->cpu_count", 1)
edit("cpu/apic.h", "#define BX_NUM_LOCAL_APICS  BX_SMP_PROCESSORS",
     "#define BX_NUM_LOCAL_APICS ((int)bx_machine->cpu_count)")
edit("cpu/apic.h", "  BX_CPU_C *cpu;\n", "  BX_CPU_C *cpu;\n  bx_machine_t *bx_machine = ::bx_machine;\n")
# Its state is read and set as a whole.
edit("cpu/apic.h", "class BOCHSAPI bx_local_apic_c : public logfunctions\n{\n",
     "class BOCHSAPI bx_local_apic_c : public logfunctions\n{\npublic:\n")
edit("cpu/apic.cc", "  if (apic_id >= bx_cpu_count)\n"
     '    BX_PANIC(("PANIC: invalid APIC_ID assigned %d (max = %d)", apic_id, bx_cpu_count));\n', "")
# The table of MSR descriptors is shared by all processors of all machines.
edit("cpu/msr.cc", "void BX_CPU_C::destroy_MSRs()\n{\n  if (msr_desc) {",
     "void BX_CPU_C::destroy_MSRs()\n{\n  if (false) {")

# ---- Lazily touched memory: a fresh stamp table is zero pages of calloc and is only cleared once
# something was marked in it.
edit("cpu/icache.h", "    fineGranularityMapping = new Bit32u[PHY_MEM_PAGES_IN_4G_SPACE];\n"
     "    resetWriteStamps();\n",
     "    fineGranularityMapping = (Bit32u*) calloc(PHY_MEM_PAGES_IN_4G_SPACE, sizeof(Bit32u));\n"
     "    marked = false;\n")
edit("cpu/icache.h", " ~bxPageWriteStampTable() { delete [] fineGranularityMapping; }",
     " ~bxPageWriteStampTable() { free(fineGranularityMapping); }\n"
     "  const Bit32u *marks() const { return fineGranularityMapping; }\n"
     "  bool marked;\n  bool allocated() const { return fineGranularityMapping != NULL; }")
edit("cpu/icache.h", "    fineGranularityMapping[hash(pAddr)] |= mask;\n",
     "    set(hash(pAddr), fineGranularityMapping[hash(pAddr)] | mask);\n    marked = true;\n", 2)
edit("cpu/icache.h", "void bxPageWriteStampTable::resetWriteStamps(void)\n{\n",
     "void bxPageWriteStampTable::resetWriteStamps(void)\n{\n  if (! marked) return;\n  marked = false;\n")

# ---- Other threads ask whether a page holds decoded code, while it is being decoded: the page is marked before its
# bytes are read. Who has written bytes and then finds no mark knows that they are read after that.
edit("cpu/icache.h", "  BX_CPP_INLINE static Bit32u hash(bx_phy_address pAddr) {\n",
     """  void set(Bit32u index, Bit32u mask) {
    __atomic_store_n(&fineGranularityMapping[index], mask, __ATOMIC_RELAXED);
  }
  void announce(bx_phy_address pAddr) {
    if (getFineGranularityMapping(pAddr)) return;
    markICache(pAddr, 1);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
  }
  // any thread
  bool holds_code(bx_phy_address pAddr) const {
    return __atomic_load_n(&fineGranularityMapping[hash(pAddr)], __ATOMIC_RELAXED) != 0;
  }

  BX_CPP_INLINE static Bit32u hash(bx_phy_address pAddr) {
""")
edit("cpu/icache.h", "fineGranularityMapping[index] = 0;", "set(index, 0);")
edit("cpu/icache.h", "fineGranularityMapping[index] &= ~mask;",
     "set(index, fineGranularityMapping[index] & ~mask);")
edit("cpu/icache.h", "fineGranularityMapping[i] = 0;", "set(i, 0);")
edit("cpu/icache.cc", "  BX_CPU_THIS_PTR iCache.alloc_trace(entry);\n",
     "  BX_CPU_THIS_PTR iCache.alloc_trace(entry);\n  pageWriteStampTable.announce(pAddr);\n")
edit("cpu/icache.cc", "  // We can fetch straight from the 0th byte, which is eipFetchPtr;\n",
     "  pageWriteStampTable.announce(BX_CPU_THIS_PTR pAddrFetchPage);\n\n"
     "  // We can fetch straight from the 0th byte, which is eipFetchPtr;\n")

# ---- Decoded code is found by the low bits of its address: of a kernel of some MiB, too many pieces that one request runs
# had the same, and were decoded anew each time (a random read of a disk: 8 % of its time).
edit("cpu/icache.h", "#define BxICacheEntries (64  * 1024)", "#define BxICacheEntries (128 * 1024)")

# An instruction names its two functions by where they are from one of the library's, in 4 bytes each, not by pointers to members of
# 16: it has 32 bytes in place of 56, so that two are a line of the host's cache, in a pool of which each is written and read for
# the first time in a start; and no call asks whether the function is virtual; none is (Itanium C++ ABI 2.3: the first word of a
# pointer to a member that is not virtual is the function's address).
edit("cpu/decoder/instr.h", "// <TAG-TYPE-EXECUTEPTR-END>\n", """// <TAG-TYPE-EXECUTEPTR-END>
#ifdef __ELF__
__attribute__((visibility("hidden")))
#endif
extern const char bx_library_anchor[];
struct BxExecute {
  typedef void (*Function)(BX_CPU_C *, bxInstruction_c *);
  Bit32s offset; // from the anchor; 0: none

  BxExecute() = default;
  explicit BxExecute(Function function): offset(function ? Bit32s((const char *) function - bx_library_anchor) : 0) {}
  BxExecute(BxExecutePtr_tR member) {
    Function function;
    memcpy(&function, &member, sizeof(function));
    *this = BxExecute(function);
  }
  BX_CPP_INLINE Function function() const { return (Function) (bx_library_anchor + offset); }
  bool operator==(BxExecutePtr_tR member) const { return offset == BxExecute(member).offset; }
  bool operator!=(BxExecutePtr_tR member) const { return !(*this == member); }
};
""")
edit("cpu/decoder/instr.h", "  BxExecutePtr_tR execute1;\n\n  union {\n    BxExecutePtr_tR execute2;\n    bxInstruction_c *next;\n",
     "  BxExecute execute1;\n\n  union {\n    BxExecute execute2;\n    Bit32u next; // of a jump: the trace that it goes to, as the cache counts them; 0: none\n")
edit("cpu/decoder/instr.h", "  BX_CPP_INLINE BxExecutePtr_tR execute2(void) const {", "  BX_CPP_INLINE BxExecute execute2(void) const {")
edit("cpu/decoder/instr.h", """    if (currTraceLinkTimeStamp > modRMForm.Id2) handlers.next = NULL;
    return handlers.next;
""", """    return handlers.next && currTraceLinkTimeStamp == modRMForm.Id2 ? pool + (handlers.next - 1) : NULL;
""")
edit("cpu/decoder/instr.h", "getNextTrace(Bit32u currTraceLinkTimeStamp)", "getNextTrace(bxInstruction_c *pool, Bit32u currTraceLinkTimeStamp)")
edit("cpu/decoder/instr.h", "setNextTrace(bxInstruction_c* iptr, Bit32u traceLinkTimeStamp) {\n    handlers.next = iptr;\n",
     "setNextTrace(bxInstruction_c *pool, bxInstruction_c* iptr, Bit32u traceLinkTimeStamp) {\n    handlers.next = Bit32u(iptr - pool) + 1;\n")
edit("cpu/cpu.h", "            (this->*((BxExecutePtr_tR) (func))) args\n", "            (func).function()(this, args)\n")
edit("cpu/icache.h", "  bxInstruction_c mpool[BxICacheMemPool];\n", "  alignas(64) bxInstruction_c mpool[BxICacheMemPool];\n")
# Mostly it is asked for code that was not decoded yet, by who builds a trace of each instruction, and to see that in the table
# itself was a miss of the host's cache each: 12 % of a start. So a byte for each place says first what there may be.
edit("cpu/icache.h", "  unsigned mpindex;\n", """  unsigned mpindex;
  Bit8u tags[BxICacheEntries]; // 0: nothing was put there
  BX_CPP_INLINE static Bit8u tag(bx_phy_address pAddr) { return Bit8u(pAddr / BxICacheEntries) | 1; }
""")
edit("cpu/icache.h", "  mpindex = 0;\n\n", "  mpindex = 0;\n  memset(tags, 0, sizeof(tags));\n\n")
edit("cpu/icache.h", "    bxICacheEntry_c* e = get_entry(pAddr, fetchModeMask);\n    if (e->pAddr != pAddr)\n",
     "    const unsigned n = hash(pAddr, fetchModeMask);\n    bxICacheEntry_c* e = &entry[n];\n"
     "    if (tags[n] != tag(pAddr) || e->pAddr != pAddr)\n")
edit("cpu/icache.cc", "  entry->pAddr = pAddr;\n",
     "  BX_CPU_THIS_PTR iCache.tags[bxICache_c::hash(pAddr, BX_CPU_THIS_PTR fetchModeMask)] = bxICache_c::tag(pAddr);\n"
     "  entry->pAddr = pAddr;\n")

edit("cpu/icache.h", "  bxICache_c() { flushICacheEntries(); }",
     "  bool clean = false;\n  bxICache_c() { flushICacheEntries(); }")
edit("cpu/icache.h", "    e->i = &mpool[mpindex];\n", "    clean = false;\n    e->i = &mpool[mpindex];\n")
edit("cpu/icache.h", "void bxICache_c::flushICacheEntries(void)\n{\n",
     "void bxICache_c::flushICacheEntries(void)\n{\n  if (clean) return;\n  clean = true;\n")

# ---- The main loop: exact budgets, a cheap look at the host now and then, exits by longjmp.
edit("cpu/cpu.cc", """  if (BX_SMP_PROCESSORS == 1) {                                                         \\
    Bit32u delta = (Bit32u)(BX_CPU_THIS_PTR icount - BX_CPU_THIS_PTR icount_last_sync); \\
    if (delta >= allowed_delta) {                                                       \\
      BX_CPU_THIS_PTR sync_icount();                                                    \\
      BX_TICKN(delta);                                                                  \\
    }                                                                                   \\
  }                                                                                     \\
""", """  if (BX_CPU_THIS_PTR icount >= BX_CPU_THIS_PTR run_until.load(std::memory_order_relaxed)) \\
    BX_CPU_THIS_PTR async_event |= BX_ASYNC_EVENT_STOP_TRACE;                           \\
""")
edit("cpu/cpu.cc", """  if (setjmp(BX_CPU_THIS_PTR jmp_buf_env)) {
    // can get here only from exception function or VMEXIT
    BX_CPU_THIS_PTR icount++;
    BX_SYNC_TIME_IF_SINGLE_PROCESSOR(0);
""", """  switch (BX_SETJMP(BX_CPU_THIS_PTR jmp_buf_env)) {
  case 0:
    break;
  case BX_LEAVE_CPU_LOOP:
    return;
  default:
    // can get here only from exception function or VMEXIT
    BX_CPU_THIS_PTR icount++;
    BX_CPU_THIS_PTR uncounted++;
""")
edit("cpu/cpu.cc", """  // mirrors similar code below, after the interrupt() call.
  BX_CPU_THIS_PTR prev_rip = RIP; // commit new EIP
  BX_CPU_THIS_PTR speculative_rsp = false;

#if BX_SUPPORT_CET""", """  // mirrors similar code below, after the interrupt() call.
  BX_CPU_THIS_PTR prev_rip = RIP; // commit new EIP
  BX_CPU_THIS_PTR speculative_rsp = false;
  BX_CPU_THIS_PTR delivering_event = false;

#if BX_SUPPORT_CET""")
edit("cpu/cpu.cc", """        // If request to return to caller ASAP.
        return;
      }
    }

    bxICacheEntry_c *entry = getICacheEntry();
    bxInstruction_c *i = entry->i;

#if""", """        // If request to return to caller ASAP.
        return;
      }
    }

    if (BX_CPU_THIS_PTR icount >= BX_CPU_THIS_PTR run_until.load(std::memory_order_relaxed)) {
      if (BX_CPU_THIS_PTR icount >= BX_CPU_THIS_PTR slice_end) return;
      if (BX_CPU_THIS_PTR icount >= BX_CPU_THIS_PTR poll_at || BX_CPU_THIS_PTR called) {
        if (poll_host()) return;
        continue;
      }
      run_one();
      continue;
    }
    if (BX_CPU_THIS_PTR async_event) { // one that stays: a trap after this instruction, a window that is waited for
      run_one();
      continue;
    }

    bxICacheEntry_c *entry = getICacheEntry();
    if (BX_CPU_THIS_PTR async_event) { // of prefetch(): the page has a breakpoint, which a trace would run over
      run_one();
      continue;
    }
    bxInstruction_c *i = entry->i;

#if""")
edit("cpu/cpu.cc", "      i = getICacheEntry()->i;\n", """      i = getICacheEntry()->i;
      if (BX_CPU_THIS_PTR async_event) {
        run_one();
        break;
      }
""")
# Iterations of a repeated string instruction move icount, but complete no instruction.
for indent, times in (("      ", 3), ("        ", 6)):
    edit("cpu/cpu.cc", f"\n{indent}BX_CPU_THIS_PTR icount++;\n\n{indent}BX_SYNC_TIME_IF_SINGLE_PROCESSOR(BX_REPEAT",
         f"\n{indent}BX_CPU_THIS_PTR icount++;\n{indent}BX_CPU_THIS_PTR uncounted++;\n\n"
         f"{indent}BX_SYNC_TIME_IF_SINGLE_PROCESSOR(BX_REPEAT", times)
edit("cpu/cpu.cc", "  BX_CPU_THIS_PTR assert_RF();\n",
     "  BX_CPU_THIS_PTR assert_RF();\n  BX_CPU_THIS_PTR uncounted++;\n", 2)
# Running from memory that nothing backs is an exit, not a panic.
edit("cpu/cpu.cc", """      if (pAddr >= BX_MEM(0)->get_memory_len()) {
        BX_PANIC(("prefetch: running in bogus memory, pAddr=0x" FMT_PHY_ADDRX, pAddr));
      }
      else {
        BX_PANIC(("prefetch: getHostMemAddr vetoed direct read, pAddr=0x" FMT_PHY_ADDRX, pAddr));
      }
""", """      BX_MEM(0)->fetch_exit(BX_CPU_THIS, pAddr, laddr);
""")

# ---- Events: a halted processor returns, INIT leaves the loop, windows and injected events.
edit("cpu/event.cc", "    BX_TICKN(10); // when in HLT run time faster for single CPU\n", "    return 1;\n")
edit("cpu/event.cc", "#if BX_SUPPORT_SMP\n    if (BX_SMP_PROCESSORS > 1) {\n"
     "      // if HALT condition remains", "#if BX_SUPPORT_SMP\n    {\n"
     "      // if HALT condition remains")
edit("cpu/event.cc", """  // This area is where we process special conditions and events.
  //
""", """  // This area is where we process special conditions and events.
  //
  if (BX_CPU_THIS_PTR injection_pending) inject_event();
""")
# The first instruction of the handler may exit: it is there that RIP must come back to.
edit("cpu/event.cc", "    interrupt(2, BX_NMI, 0, 0);\n",
     "    interrupt(2, BX_NMI, 0, 0);\n    BX_CPU_THIS_PTR prev_rip = RIP;\n")
edit("cpu/event.cc", """#if BX_SUPPORT_VMX
  else if (is_pending(BX_EVENT_VMX_INTERRUPT_WINDOW_EXITING) && BX_CPU_THIS_PTR get_IF()) {""",
     """  else if ((BX_CPU_THIS_PTR window_requested && BX_CPU_THIS_PTR get_IF()) ||
           (BX_CPU_THIS_PTR nmi_window_requested && ! is_masked_event(BX_EVENT_NMI))) {
    bx_machine->note_window(BX_CPU_THIS);
    return 1;
  }
#if BX_SUPPORT_VMX
  else if (is_pending(BX_EVENT_VMX_INTERRUPT_WINDOW_EXITING) && BX_CPU_THIS_PTR get_IF()) {""")
edit("cpu/event.cc", "        BX_HRQ))\n  {\n    BX_CPU_THIS_PTR async_event = 0;",
     "        BX_CPU_THIS_PTR window_requested || BX_CPU_THIS_PTR nmi_window_requested ||\n"
     "        BX_HRQ))\n  {\n    BX_CPU_THIS_PTR async_event = 0;")
# A SIPI may reach a processor that had no turn since its INIT.
edit("cpu/event.cc", "void BX_CPU_C::deliver_SIPI(unsigned vector)\n{\n",
     "void BX_CPU_C::deliver_SIPI(unsigned vector)\n{\n"
     "  if (is_unmasked_event_pending(BX_EVENT_INIT)) {\n"
     "    clear_event(BX_EVENT_INIT);\n    reset(BX_RESET_SOFTWARE);\n  }\n")
edit("cpu/event.cc", "    RIP = 0;\n    load_seg_reg", "    BX_CPU_THIS_PTR prev_rip = RIP = 0;\n    load_seg_reg")
# An access that would exit while an event is being delivered cannot be repeated: it ends the run.
edit("cpu/exception.cc", "  // Discard any traps and inhibits for new context; traps will\n",
     "  BX_CPU_THIS_PTR delivering_event = true;\n\n  // Discard any traps and inhibits for new context; traps will\n")
edit("cpu/exception.cc", "  RSP_COMMIT;\n\n#if BX_SUPPORT_VMX\n  unmask_event",
     "  RSP_COMMIT;\n  BX_CPU_THIS_PTR delivering_event = false;\n\n#if BX_SUPPORT_VMX\n  unmask_event")

# ---- Instructions whose answer the caller gives.
edit("cpu/proc_ctrl.cc", "  BX_CPU_THIS_PTR cpuid->get_cpuid_leaf(EAX, ECX, &leaf);\n",
     "  bx_machine->answer_cpuid(BX_CPU_THIS, EAX, ECX, &leaf);\n")
edit("cpu/msr.cc", "BX_CPU_C::rdmsr(Bit32u index, Bit64u *msr)\n{\n",
     "BX_CPU_C::rdmsr(Bit32u index, Bit64u *msr)\n{\n"
     "  int answer = bx_machine->read_msr(BX_CPU_THIS, index, msr);\n"
     "  if (answer >= 0) return answer != 0;\n")
edit("cpu/msr.cc", "BX_CPU_C::wrmsr(Bit32u index, Bit64u val_64)\n{\n",
     "BX_CPU_C::wrmsr(Bit32u index, Bit64u val_64)\n{\n"
     "  int answer = bx_machine->write_msr(BX_CPU_THIS, index, val_64);\n"
     "  if (answer >= 0) return answer != 0;\n")

# ---- Exceptions that the caller wants, before anything of them has happened.
edit("cpu/exception.cc", "  BX_INSTR_EXCEPTION(BX_CPU_ID, vector, error_code);\n",
     "  if (vector != BX_PF_EXCEPTION)\n"
     "    bx_machine->offer_exception(BX_CPU_THIS, vector, push_error ? Bit64s(error_code) : bx_machine_t::kNoErrorCode,\n"
     "                                vector == BX_DB_EXCEPTION ? BX_CPU_THIS_PTR debug_trap & 0xe00f : 0);\n")
edit("cpu/paging.cc", "  BX_CPU_THIS_PTR cr2 = laddr;\n",
     "  bx_machine->offer_exception(BX_CPU_THIS, BX_PF_EXCEPTION, error_code, laddr);\n\n  BX_CPU_THIS_PTR cr2 = laddr;\n")
for indent, vector in (("  ", 3), ("    ", 4)):
    edit("cpu/soft_int.cc", f"{indent}interrupt({vector}, BX_SOFTWARE_EXCEPTION, 0, 0);\n",
         f"{indent}bx_machine->offer_exception(BX_CPU_THIS, {vector}, bx_machine_t::kNoErrorCode, 0, true);\n"
         f"{indent}interrupt({vector}, BX_SOFTWARE_EXCEPTION, 0, 0);\n")

# ---- Time: the TSC and the APIC timer follow the caller's clock.
edit("cpu/init.cc", "    BX_CPU_THIS_PTR set_TSC(0); // do not change TSC on INIT",
     "    BX_CPU_THIS_PTR tsc_adjust = 0; // all processors of a machine start in step")
edit("cpu/apic.cc", "ticksInitial = bx_pc_system.time_ticks();", "ticksInitial = bx_pc_system.apic_ticks();", 2)
edit("cpu/apic.cc", "Bit64u delta64 = (bx_pc_system.time_ticks() - ticksInitial)",
     "Bit64u delta64 = (bx_pc_system.apic_ticks() - ticksInitial)")
edit("cpu/apic.cc", "    if(delta32 > timer_initial)\n"
     '      BX_PANIC(("APIC: R(curr timer count): delta < initial"));\n',
     "    if(delta64 > timer_initial) delta32 = timer_initial; // due, and not yet delivered\n")
edit("cpu/apic.cc", "    bx_pc_system.activate_timer_ticks(timer_handle,\n"
     "            Bit64u(timer_initial) * Bit64u(timer_divide_factor), 0);",
     "    bx_pc_system.arm_apic(timer_handle, ticksInitial +\n"
     "            Bit64u(timer_initial) * Bit64u(timer_divide_factor));", 2)
# A periodic timer counts on from when it was due, not from when it was looked at.
edit("cpu/apic.cc", "    ticksInitial = bx_pc_system.apic_ticks(); // timer value when it started to count\n"
     '    BX_DEBUG(("local apic timer(periodic) triggered int, reset counter to 0x%08x", timer_current));',
     "    ticksInitial = bx_pc_system.next_period(ticksInitial,\n"
     "            Bit64u(timer_initial) * Bit64u(timer_divide_factor));")
edit("cpu/apic.cc", """    Bit64u currtime = bx_pc_system.time_ticks();
    timer_active = true;
    bx_pc_system.activate_timer_ticks(timer_handle, (deadline > currtime) ? (deadline - currtime) : 1 , 0);
""", """    timer_active = true;
    bx_pc_system.arm_tsc(timer_handle, deadline, cpu->tsc_adjust);
""")
edit("cpu/apic.cc", "    timer_current = 0;\n    timer_active = false;\n"
     '    BX_DEBUG(("local apic timer(one-shot) triggered int"));',
     "    timer_current = 0;\n    timer_active = false;\n"
     "    if (timervec & 0x40000) ticksInitial = 0; // SDM 3A 10.5.4.1: reads 0 once fired")
edit("cpu/init.cc", "  BX_CPU_THIS_PTR msr.apicbase |= 0x900;",
     "  BX_CPU_THIS_PTR msr.apicbase |= bx_machine->has_apic ? 0x900 : 0x100;")
edit("cpu/apic.cc", "    if((dest & apic_id_mask) == apic_id_mask) {",
     "    if(dest == 0xff || dest == 0xffffffff) {")

# ---- Memory: exits need the linear address; ROM must not be written through a TLB entry that a
# read made while paging is off; page walks outside of memory read ones.
edit("cpu/access.cc", "unsigned xlate_rw, Bit32u ac_mask, void *data)\n{\n",
     "unsigned xlate_rw, Bit32u ac_mask, void *data)\n{\n  BX_CPU_THIS_PTR access_laddr = laddr;\n", 2)
edit("cpu/paging.cc", "      tlbEntry->accessBits |= TLB_UserReadOK | TLB_UserWriteOK;\n  }\n  else {\n    if (IS_USER_PAGE",
     "      tlbEntry->accessBits |= isWrite ? TLB_UserReadOK | TLB_UserWriteOK : TLB_UserReadOK;\n  }\n  else {\n    if (IS_USER_PAGE")
for size, arg in (("byte", "&data"), ("word", "(Bit8u*)(&data)"), ("dword", "(Bit8u*)(&data)"), ("qword", "(Bit8u*)(&data)")):
    n = {"byte": 1, "word": 2, "dword": 4, "qword": 8}[size]
    edit("cpu/paging.cc", f"  access_read_physical(paddr, {n}, {arg});",
         f"  if (BX_MEM(0)->read_table(paddr, {n}, &data)) return data;\n  access_read_physical(paddr, {n}, {arg});")
for n in (1, 2, 4, 8):
    edit("cpu/paging.cc", f"  access_write_physical(paddr, {n}, &val_{8*n});",
         f"  if (BX_MEM(0)->write_table(paddr, {n}, &val_{8*n})) return;\n  access_write_physical(paddr, {n}, &val_{8*n});")

# ---- Order: the host's devices run on other threads and look at the same memory. What orders a guest's
# store before its later load (LOCK, XCHG and MFENCE) must do so on the host: two sides that each write
# and then read what the other wrote could otherwise both miss it, and an interrupt is never sent.
for store in ("*hostAddr = val8;", "WriteHostWordToLittleEndian(hostAddr, val16);",
              "WriteHostDWordToLittleEndian(hostAddr, val32);", "WriteHostQWordToLittleEndian(hostAddr, val64);"):
    edit("cpu/access2.cc", store, store + "\n    __atomic_thread_fence(__ATOMIC_SEQ_CST);")
edit("cpu/decoder/ia_opcodes.def", '"mfence", &BX_CPU_C::BxError, &BX_CPU_C::NOP,',
     '"mfence", &BX_CPU_C::BxError, &BX_CPU_C::MFENCE,')
edit("cpu/cpu.h", "  BX_SMF void PAUSE(bxInstruction_c *) BX_CPP_AttrRegparmN(1);\n",
     "  BX_SMF void PAUSE(bxInstruction_c *) BX_CPP_AttrRegparmN(1);\n"
     "  BX_SMF void MFENCE(bxInstruction_c *) BX_CPP_AttrRegparmN(1);\n")
edit("cpu/proc_ctrl.cc", "void BX_CPP_AttrRegparmN(1) BX_CPU_C::PAUSE(bxInstruction_c *i)\n", """\
void BX_CPP_AttrRegparmN(1) BX_CPU_C::MFENCE(bxInstruction_c *i)
{
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  BX_NEXT_INSTR(i);
}

void BX_CPP_AttrRegparmN(1) BX_CPU_C::PAUSE(bxInstruction_c *i)
""")

# ---- Two pages that lie alike: a copy between a buffer and a page of the kernel's map of memory that are at the same place of
# their large pages had one entry for both, and walked the page tables twice for each word. Neighbours have different entries: an
# access across two pages is known by that.
edit("cpu/tlb.h", """    const Bit32u tlb_mask = ((size-1) << 12);
    return (((unsigned(lpf) + len) & tlb_mask) >> 12);
""", """    const bx_address page = (lpf + len) >> 12;
    return unsigned(page + (page >> 11)) & (size-1);
""")

# ---- Cheap flushes: a TLB remembers which entries it filled, and which of these are not global,
# and looks at no others. (A write to CR3 looked at 3072 entries; it was a sixth of a boot.)
edit("cpu/tlb.h", "  bx_TLB_entry entry[size];\n", """  bx_TLB_entry entry[size];
  struct index_set {
    Bit8u has[size] = {};
    Bit16u index[size];
    unsigned count = 0;
    BX_CPP_INLINE void add(unsigned n) {
      if (has[n]) return;
      has[n] = 1;
      index[count++] = Bit16u(n);
    }
  } filled, local;

  BX_CPP_INLINE void note_filled(const bx_TLB_entry *e)
  {
    filled.add(unsigned(e - entry));
    if (!(e->accessBits & TLB_GlobalPage)) local.add(unsigned(e - entry));
  }
""")
edit("cpu/tlb.h", "    for (unsigned n=0; n < size; n++)\n      entry[n].invalidate();\n",
     """    for (unsigned k=0; k < filled.count; k++) {
      entry[filled.index[k]].invalidate();
      filled.has[filled.index[k]] = local.has[filled.index[k]] = 0;
    }
    filled.count = local.count = 0;
""")
edit("cpu/tlb.h", """    Bit32u lpf_mask = 0;

    for (unsigned n=0; n<size; n++) {
      bx_TLB_entry *tlbEntry = &entry[n];
      if (tlbEntry->valid()) {
        if (!(tlbEntry->accessBits & TLB_GlobalPage))
          tlbEntry->invalidate();
        else
          lpf_mask |= tlbEntry->lpf_mask;
      }
    }

    split_large = (lpf_mask > 0xfff);
""", """    // split_large stays: large global pages may be left.
    for (unsigned k=0; k<local.count; k++) {
      unsigned n = local.index[k];
      if (!(entry[n].accessBits & TLB_GlobalPage)) entry[n].invalidate();
      local.has[n] = 0;
    }
    local.count = 0;
""")
edit("cpu/tlb.h", """      for (unsigned n=0; n<size; n++) {
        bx_TLB_entry *tlbEntry = &entry[n];
        if (tlbEntry->valid()) {
          bx_address""", """      for (unsigned k=0; k<filled.count; k++) {
        bx_TLB_entry *tlbEntry = &entry[filled.index[k]];
        if (tlbEntry->valid()) {
          bx_address""")
edit("cpu/paging.cc", "    tlbEntry->accessBits |= TLB_GlobalPage;\n#endif\n", """    tlbEntry->accessBits |= TLB_GlobalPage;
#endif
  if (isExecute)
    BX_CPU_THIS_PTR ITLB.note_filled(tlbEntry);
  else
    BX_CPU_THIS_PTR DTLB.note_filled(tlbEntry);
""")

# ---- Time: what costs the host far more than an instruction is charged as many, so that a guest that does
# nothing else is looked at as often. (INVD in a loop: 300 us each.)
edit("cpu/icache.h", "  if (! marked) return;\n  marked = false;\n",
     "  if (! marked) return;\n  marked = false;\n  bx_machine->charge(kStampTableCost);\n")
edit("cpu/icache.h", "  if (clean) return;\n  clean = true;\n",
     "  if (clean) return;\n  clean = true;\n  ::bx_machine->charge(kInstructionCacheCost);\n")
edit("cpu/init.cc", "void BX_CPU_C::reset(unsigned source)\n{\n",
     "void BX_CPU_C::reset(unsigned source)\n{\n  bx_machine->charge(kResetCost);\n")

# ---- Accesses across two pages: where one of them forbids a write nothing is written.
edit("cpu/access.cc", "    BX_CPU_THIS_PTR address_xlation.paddress2 = translate_linear(tlbEntry2, laddr2, user, xlate_rw);\n",
     "    BX_CPU_THIS_PTR address_xlation.paddress2 = translate_linear(tlbEntry2, laddr2, user, xlate_rw);\n"
     "    if (xlate_rw == BX_WRITE || xlate_rw == BX_RW) bx_machine->check_write_across(BX_CPU_THIS, xlate_rw);\n", 2)

# ---- Randomness from the operating system; no seeding of the C library's generator.
edit("cpu/init.cc", "  srand(time(NULL)); // initialize random generator for RDRAND/RDSEED\n", "")
edit("cpu/rdrand.cc", "  return rand() & 0xff;     // hack using std C rand() function",
     "  Bit8u byte;\n  bx_os_random(&byte, 1);\n  return byte;")
for bits in (16, 32, 64):
    half = bits // 2
    edit("cpu/rdrand.cc", f"  Bit{bits}u val_{bits} = 0;\n\n  val_{bits} |= hw_rand{half}();\n"
         f"  val_{bits} <<= {half};\n  val_{bits} |= hw_rand{half}();\n",
         f"  Bit{bits}u val_{bits};\n  bx_os_random(&val_{bits}, sizeof val_{bits});\n")

# ---- No system management mode: nothing here could serve it.
edit("cpu/apic.cc", "    cpu->deliver_SMI();\n    break;", "    break;")

# ---- One processor model, ours.
edit("cpu/init.cc", "BX_CPU_THIS_PTR cpuid = cpuid_factory(this);", "BX_CPU_THIS_PTR cpuid = bx_create_cpu_model(this);")


def drop(path, first, last):
    """Removes the text from `first` up to `last` (which stays)."""
    EDITS.append((path, (first, last), None, 1))


drop("cpu/init.cc", "static bx_cpuid_t *cpuid_factory(BX_CPU_C *cpu)", "#include <string>\n")
drop("cpu/init.cc", "enum {\n#define bx_define_cpudb", "#if BX_CPU_LEVEL >= 4\n\n#include \"cpuid.h\"")
drop("cpu/init.cc", "// save/restore functionality\n", "void BX_CPU_C::after_restore_state(void)")
drop("cpu/apic.cc", "void bx_local_apic_c::register_state(bx_param_c *parent)", "#endif /* if BX_SUPPORT_APIC */")

# ---- From trace to trace (frequent.cc). Where a computed jump goes to, a table by RIP says, for as long as links between traces hold.
# The end of a trace is linked too, and links are followed by jumps: calls that return one by one are guessed wrongly each.
drop("cpu/cpu.cc", "#if BX_SUPPORT_HANDLERS_CHAINING_SPEEDUPS && BX_ENABLE_TRACE_LINKING\n\n// The function is called after taken branch",
     "#define BX_REPEAT_TIME_UPDATE_INTERVAL")
edit("cpu/icache.h", "  Bit32u traceLinkTimeStamp;\n", """  union {
    Bit64u context; // both: what else than RIP says which trace there is
    struct {
      Bit32u traceLinkTimeStamp;
      Bit32u fetchMode; // and the privilege
    };
  };
  struct Target {
    Bit64u rip, context;
    bxInstruction_c *trace;
  };
#define BX_ICACHE_TARGETS 2048 /* must be power of two */
  Target targets[BX_ICACHE_TARGETS];
  BX_CPP_INLINE Target &target(Bit64u rip) { return targets[(rip ^ (rip >> 11)) & (BX_ICACHE_TARGETS-1)]; }
  // Where calls return to: the latest.
  struct Return {
    Bit64u rip, context;
    bxInstruction_c *trace; // NULL: not known when it was called
    bxInstruction_c *link;  // what is linked with it
  };
#define BX_ICACHE_RETURNS 16 /* must be power of two */
  Return returns[BX_ICACHE_RETURNS];
  unsigned return_top = 0;
""")
edit("cpu/icache.h", "  traceLinkTimeStamp = 0;\n", "  traceLinkTimeStamp = 0;\n  for (Target &known : targets) known.context = ~Bit64u(0);\n"
     "  for (Return &known : returns) known.context = ~Bit64u(0);\n")
edit("cpu/cpu.h", """  BX_CPU_THIS_PTR user_pl = // CPL == 3
     (BX_CPU_THIS_PTR sregs[BX_SEG_REG_CS].selector.rpl == 3);
""", """  BX_CPU_THIS_PTR user_pl = // CPL == 3
     (BX_CPU_THIS_PTR sregs[BX_SEG_REG_CS].selector.rpl == 3);
  BX_CPU_THIS_PTR iCache.fetchMode = BX_CPU_THIS_PTR fetchModeMask << 1 | BX_CPU_THIS_PTR user_pl;
  note_rights();
""")
edit("cpu/proc_ctrl.cc", "    BX_CPU_THIS_PTR alignment_check_mask = 0;\n  }\n#endif\n}\n", "    BX_CPU_THIS_PTR alignment_check_mask = 0;\n  }\n#endif\n  note_rights();\n}\n")

# ---- Frequent instructions have functions of our own, alone and in sequences (frequent.cc). What was decoded says which.
edit("cpu/decoder/instr.h", "  Bit8u metaData[8];\n", "  Bit8u metaData[8];\n\n  Bit8u kind; // frequent.cc; 0: none of those\n")
edit("cpu/icache.cc", "  i->setILen(0);\n", "  i->setILen(0);\n  i->kind = 0;\n")
edit("cpu/icache.cc", """          entry->traceMask |= traceMask;
          pageWriteStampTable.markICacheMask(pAddr, entry->traceMask);
""", """          choose_frequent(entry->i, i);
          entry->traceMask |= traceMask;
          pageWriteStampTable.markICacheMask(pAddr, entry->traceMask);
""")
edit("cpu/icache.cc", """    entry->tlen++; /* Add the inserted end of trace opcode */
    genDummyICacheEntry(i);
#endif
  }

  BX_CPU_THIS_PTR iCache.commit_trace(entry->tlen);
""", """    entry->tlen++; /* Add the inserted end of trace opcode */
    genDummyICacheEntry(i);
    end_trace(i);
    choose_frequent(entry->i, i);
#endif
  }

  BX_CPU_THIS_PTR iCache.commit_trace(entry->tlen);
""")

# ---- Build options.
edit("config.h", "#define BX_NO_LOGGING 0", "#define BX_NO_LOGGING 1")
edit("config.h", "#define BX_CONFIGURE_MSRS 1", "#define BX_CONFIGURE_MSRS 0")
edit("config.h", "#define BX_ENABLE_STATISTICS 1", "#define BX_ENABLE_STATISTICS 0")


def main():
    root = pathlib.Path(sys.argv[1])
    texts = {}
    for path, old, new, count in EDITS:
        text = texts.get(path) or (root / path).read_text(encoding="latin-1")
        if new is None:
            first, last = old
            begin = text.find(first)
            end = text.find(last, begin)
            if begin < 0 or end < 0 or text.count(first) != 1:
                sys.exit(f"edits: {path}: no region {first!r} .. {last!r}")
            text = text[:begin] + text[end:]
        else:
            found = text.count(old)
            if found != count:
                sys.exit(f"edits: {path}: anchor found {found} times, expected {count}: {old!r}")
            text = text.replace(old, new)
        texts[path] = text
    for path, text in texts.items():
        (root / path).write_text(text, encoding="latin-1")
    print(f"edits: {len(EDITS)} applied to {len(texts)} files")


main()
