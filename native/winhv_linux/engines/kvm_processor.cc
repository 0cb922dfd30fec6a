#include "winhv_linux/engines/kvm_processor.h"

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "winhv_linux/engines/kvm_error.h"

namespace runhv::winhv_linux {
namespace {

// An access that spans pages, or that an instruction makes of several, is given in parts.
constexpr int kAccessParts = 64;

// KVM_SET_CPUID2 takes a header and its entries in one piece.
long set_cpuid(const platform::DeviceFile& file, std::span<const kvm_cpuid_entry2> entries) {
  std::vector<std::byte> bytes(sizeof(KvmListHeader) + entries.size_bytes());
  const KvmListHeader header{.count = static_cast<UINT32>(entries.size()), .zero = 0};
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, entries.data(), entries.size_bytes());
  return file.request(kSetCpuid2, bytes.data());
}

void set_immediate_exit(kvm_run& run, UINT8 value) {
  std::atomic_ref(run.immediate_exit).store(value);
}

class Inside {
 public:
  explicit Inside(platform::Interruptible& thread) : thread_(thread) { thread_.enter(); }
  ~Inside() { thread_.leave(); }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  platform::Interruptible& thread_;
};

}  // namespace

KvmProcessor::KvmProcessor(platform::DeviceFile file, platform::DevicePages pages, UINT32 index,
                           const KvmMemory& memory, CpuAnswers& answers)
    : file_(std::move(file)),
      pages_(std::move(pages)),
      run_(*reinterpret_cast<kvm_run*>(pages_.bytes().data())),
      index_(index),
      memory_(memory),
      answers_(answers),
      registers_(file_, run_) {}

HRESULT KvmProcessor::create(platform::DeviceFile file, std::size_t run_bytes, UINT32 index,
                             std::span<const kvm_cpuid_entry2> cpuid, const KvmMemory& memory,
                             CpuAnswers& answers, std::unique_ptr<KvmProcessor>& processor) {
  if (const long result = set_cpuid(file, cpuid); result < 0) return kvm_error(result);
  auto pages = file.share_pages(run_bytes);
  if (!pages) return E_OUTOFMEMORY;
  std::unique_ptr<KvmProcessor> made(
      new KvmProcessor(std::move(file), std::move(*pages), index, memory, answers));
  const HRESULT result = made->registers_.load();
  if (SUCCEEDED(result)) processor = std::move(made);
  return result;
}

bool KvmProcessor::translate(UINT64 gva, WHV_MEMORY_ACCESS_TYPE access, UINT64& gpa) const {
  const auto found = walk_page_tables(registers_.paging(), gva, access, memory_);
  if (found) gpa = *found;
  return found.has_value();
}

// In this order: a runner that takes back immediate_exit has not looked at canceled_ yet, or finds
// it set.
void KvmProcessor::cancel() {
  if (canceled_.exchange(true)) return;  // whoever was first does the rest
  set_immediate_exit(run_, 1);
  thread_.interrupt();
}

HRESULT KvmProcessor::run(EngineExit& exit) {
  exit = {};
  const Inside inside(thread_);
  const HRESULT result = run_inside(exit);
  if (SUCCEEDED(result)) tell(exit);
  return result;
}

HRESULT KvmProcessor::run_inside(EngineExit& exit) {
  for (;;) {
    set_immediate_exit(run_, 0);
    if (canceled_.exchange(false)) {
      // The client may write registers now, which an open access would change again.
      if (std::exchange(access_is_open_, false) && !finish_access()) return E_UNEXPECTED;
      exit.reason = EngineExitReason::kCanceled;
      return S_OK;
    }
    const long result = file_.request(KVM_RUN);
    access_is_open_ = false;
    // EAGAIN: it waited for a SIPI and has got one.
    if (result == -EINTR || result == -EAGAIN) continue;
    if (result == -EINVAL) {  // register values that no processor has
      exit.reason = EngineExitReason::kShutdown;
      return S_OK;
    }
    if (result < 0) return kvm_error(result);
    switch (on_return(exit)) {
      case Next::kExit:
        return S_OK;
      case Next::kAgain:
        break;
      case Next::kUnknown:
        return E_NOTIMPL;
    }
  }
}

KvmProcessor::Next KvmProcessor::on_return(EngineExit& exit) {
  switch (run_.exit_reason) {
    case KVM_EXIT_INTR:
      return Next::kAgain;
    case KVM_EXIT_IO:
      return on_port(exit);
    case KVM_EXIT_MMIO:
      return on_memory(exit);
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
      return on_msr(exit);
    case KVM_EXIT_HLT:
      exit.reason = EngineExitReason::kHalt;
      return Next::kExit;
    case KVM_EXIT_IRQ_WINDOW_OPEN:
      run_.request_interrupt_window = 0;
      exit.reason = EngineExitReason::kWindow;
      return Next::kExit;
    case KVM_EXIT_IOAPIC_EOI:
      exit.reason = EngineExitReason::kEoi;
      exit.vector = run_.eoi.vector;
      return Next::kExit;
    case KVM_EXIT_INTERNAL_ERROR:
      return on_internal_error(exit);
    case KVM_EXIT_SHUTDOWN:
    case KVM_EXIT_FAIL_ENTRY:
      exit.reason = EngineExitReason::kShutdown;
      return Next::kExit;
    default:
      std::fprintf(stderr,
                   "winhvplatform: engine kvm: unknown exit %u of KVM at RIP 0x%" PRIx64 "\n",
                   run_.exit_reason, UINT64{registers_.shared().regs.rip});
      return Next::kUnknown;
  }
}

// Lets KVM end the access that it has told of, without the guest going on. What it reads is zero.
bool KvmProcessor::finish_access() {
  for (int part = 0; part < kAccessParts; ++part) {
    set_immediate_exit(run_, 1);
    const long result = file_.request(KVM_RUN);
    if (result == -EINTR) return true;
    if (result < 0) return false;
    if (run_.exit_reason == KVM_EXIT_MMIO && run_.mmio.is_write == 0) {
      std::memset(run_.mmio.data, 0, sizeof run_.mmio.data);
    }
  }
  return false;
}

KvmProcessor::Next KvmProcessor::on_port(EngineExit& exit) {
  kvm_sync_regs before = registers_.shared();
  const PortAccess access{
      .port = run_.io.port, .size = run_.io.size, .is_write = run_.io.direction == KVM_EXIT_IO_OUT};
  if (!access.is_write) {
    const UINT64 bytes = UINT64{run_.io.size} * run_.io.count;
    const auto all = pages_.bytes();
    const UINT64 offset = std::min<UINT64>(run_.io.data_offset, all.size());
    std::ranges::fill(all.subspan(offset, std::min<UINT64>(bytes, all.size() - offset)),
                      std::byte{});
  }
  if (!finish_access()) return Next::kUnknown;

  const PagingState paging = registers_.paging();
  const GuestCode code(before, paging, memory_);
  const UINT64 rip = before.regs.rip;
  // An IN is told of before it is executed; an OUT before or after it, which shows when KVM ends
  // it; an OUTS after it, and one that repeats after each time.
  const bool is_executed = access.is_write && registers_.shared().regs.rip == rip;
  auto instruction = code.port_at(rip, access);
  if (is_executed) {
    const bool goes_on = instruction && instruction->has_rep && before.regs.rcx != 0;
    if (!goes_on) {
      instruction = code.port_before(rip, access);
      if (instruction) before.regs.rip -= instruction->length;
    }
    if (instruction && instruction->is_string) {
      constexpr UINT64 kDirection = 1 << 10;
      const bool down = (before.regs.rflags & kDirection) != 0;
      before.regs.rsi += down ? access.size : -UINT64{access.size};
      if (instruction->has_rep) ++before.regs.rcx;
    }
  }
  if (!instruction) {
    std::fprintf(stderr,
                 "winhvplatform: engine kvm: no instruction for port 0x%x near RIP 0x%" PRIx64 "\n",
                 access.port, rip);
    return Next::kUnknown;
  }
  registers_.restore(before);
  exit.reason = EngineExitReason::kPort;
  exit.access = access.is_write ? WHvMemoryAccessWrite : WHvMemoryAccessRead;
  exit.address = access.port;
  exit.size = access.size;
  exit.is_string = instruction->is_string;
  exit.has_rep = instruction->has_rep;
  exit.instruction_length = instruction->length;
  return Next::kExit;
}

KvmProcessor::Next KvmProcessor::on_memory(EngineExit& exit) {
  kvm_sync_regs before = registers_.shared();
  const auto mmio = run_.mmio;
  const bool is_write = mmio.is_write != 0;
  if (!is_write) std::memset(run_.mmio.data, 0, sizeof run_.mmio.data);
  if (!finish_access()) return Next::kUnknown;

  const UINT64 rip = before.regs.rip;
  // A load is told of before it is executed, a store after it.
  if (is_write && registers_.shared().regs.rip == rip) {
    const auto size = std::min<std::size_t>(mmio.len, sizeof mmio.data);
    const PagingState paging = registers_.paging();
    const auto length = GuestCode(before, paging, memory_)
                            .store_before(rip, {.gpa = mmio.phys_addr,
                                                .data = std::as_bytes(std::span(mmio.data, size))});
    if (!length) {
      std::fprintf(stderr,
                   "winhvplatform: engine kvm: the instruction before RIP 0x%" PRIx64
                   " stores to 0x%" PRIx64 " and is no MOV\n",
                   rip, UINT64{mmio.phys_addr});
      return Next::kUnknown;
    }
    before.regs.rip -= *length;
    exit.instruction_length = *length;
  }
  registers_.restore(before);
  exit.access = is_write ? WHvMemoryAccessWrite : WHvMemoryAccessRead;
  // It was mapped anew meanwhile.
  if (memory_.allows(mmio.phys_addr, exit.access)) return Next::kAgain;
  exit.reason = EngineExitReason::kMemory;
  exit.address = mmio.phys_addr;
  exit.unmapped = !memory_.has_range(mmio.phys_addr);
  return Next::kExit;
}

KvmProcessor::Next KvmProcessor::on_msr(EngineExit& exit) {
  const bool is_write = run_.exit_reason == KVM_EXIT_X86_WRMSR;
  const UINT32 msr = run_.msr.index;
  UINT64 value = is_write ? UINT64{run_.msr.data} : 0;
  const MsrAnswer answer =
      is_write ? answers_.write_msr(index_, msr, value) : answers_.read_msr(index_, msr, value);
  run_.msr.error = 0;
  run_.msr.data = value;
  switch (answer) {
    case MsrAnswer::kExit:
      break;
    case MsrAnswer::kFault:
    case MsrAnswer::kDefault:  // KVM has been asked: it does not know it
      run_.msr.error = 1;
      [[fallthrough]];
    case MsrAnswer::kDone:
      access_is_open_ = true;
      return Next::kAgain;
  }
  const kvm_sync_regs before = registers_.shared();
  if (!finish_access()) return Next::kUnknown;
  exit.instruction_length =
      static_cast<UINT32>(registers_.shared().regs.rip - before.regs.rip) & 15u;
  registers_.restore(before);
  exit.reason = EngineExitReason::kMsr;
  exit.access = is_write ? WHvMemoryAccessWrite : WHvMemoryAccessRead;
  exit.address = msr;
  return Next::kExit;
}

// KVM cannot emulate, for instance because there is no code where the processor is.
KvmProcessor::Next KvmProcessor::on_internal_error(EngineExit& exit) {
  kvm_sync_regs before = registers_.shared();
  const PagingState paging = registers_.paging();
  const auto gpa = GuestCode(before, paging, memory_).address_of(before.regs.rip);
  exit.reason = EngineExitReason::kShutdown;
  if (run_.internal.suberror == KVM_INTERNAL_ERROR_EMULATION && gpa && !memory_.has_range(*gpa)) {
    before.events.exception = {};  // of the failure
    registers_.restore(before);
    exit.reason = EngineExitReason::kMemory;
    exit.access = WHvMemoryAccessExecute;
    exit.address = *gpa;
    exit.unmapped = true;
  }
  return Next::kExit;
}

void KvmProcessor::tell(EngineExit& exit) const {
  exit.registers = registers_.at_exit();
  if (exit.reason != EngineExitReason::kPort && exit.reason != EngineExitReason::kMemory) return;
  const PagingState paging = registers_.paging();
  const GuestCode code(registers_.shared(), paging, memory_);
  exit.instruction_bytes = static_cast<UINT32>(code.fetch(
      registers_.shared().regs.rip, std::as_writable_bytes(std::span(exit.instruction))));
}

}  // namespace runhv::winhv_linux
