// SPDX-License-Identifier: LGPL-2.0-or-later
// Tiny guests through the C interface.
#include "softcpu.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <random>
#include <set>
#include <thread>
#include <vector>

namespace {

enum : uint32_t {
  kRax = 0x00,
  kRcx = 0x01,
  kRdx = 0x02,
  kRbx = 0x03,
  kRsp = 0x04,
  kRsi = 0x06,
  kRdi = 0x07,
  kRip = 0x10,
  kRflags = 0x11,
  kEs = 0x12,
  kCs = 0x13,
  kSs = 0x14,
  kDs = 0x15,
  kIdtr = 0x1a,
  kCr0 = 0x1c,
  kCr3 = 0x1e,
  kCr4 = 0x1f,
  kXmm0 = 0x1000,
  kTsc = 0x2000,
  kEfer = 0x2001,
  kPendingInterruption = 0x80000000,
  kPendingEvent = 0x80000002,
  kDeliverabilityNotifications = 0x80000004,
};

constexpr uint64_t kMemory = 1 << 20;
constexpr uint64_t kCode = 0x8000;

constexpr std::align_val_t kPage{4096};
uint8_t* new_pages(size_t bytes) { return static_cast<uint8_t*>(::operator new(bytes, kPage)); }
void delete_pages(uint8_t* pages) { ::operator delete(pages, kPage); }

constexpr uint64_t kTscHz = 2'000'000'000, kApicHz = 1'000'000'000;

struct Callbacks {
  std::atomic<uint64_t> now{1'000'000};
  std::function<softcpu_answer(uint32_t, uint32_t, uint32_t*)> cpuid;
  std::function<softcpu_answer(uint32_t, uint64_t*)> read_msr;
  std::function<softcpu_answer(uint32_t, uint64_t)> write_msr;
  std::set<uint64_t> written;
  std::function<softcpu_answer(uint32_t)> exception;
};

// A machine with 1 MiB of memory at 0, whose processors start at kCode in real mode.
class Guest {
 public:
  explicit Guest(uint32_t cpus = 1, uint32_t apic = SOFTCPU_APIC_X2APIC) {
    ram_ = new_pages(kMemory);
    memset(ram_, 0, kMemory);
    softcpu_config config = {};
    config.abi_version = SOFTCPU_ABI_VERSION;
    config.struct_size = sizeof config;
    config.cpu_count = cpus;
    config.apic_mode = apic;
    config.tsc_hz = kTscHz;
    config.apic_hz = kApicHz;
    config.context = &callbacks;
    config.callbacks.now_ns = [](void* c) { return static_cast<Callbacks*>(c)->now.load(); };
    config.callbacks.cpuid = [](void* c, uint32_t, uint32_t function, uint32_t index,
                                uint32_t* out) {
      auto* self = static_cast<Callbacks*>(c);
      return self->cpuid ? self->cpuid(function, index, out) : SOFTCPU_ANSWER_DONE;
    };
    config.callbacks.read_msr = [](void* c, uint32_t, uint32_t msr, uint64_t* value) {
      auto* self = static_cast<Callbacks*>(c);
      return self->read_msr ? self->read_msr(msr, value) : SOFTCPU_ANSWER_DEFAULT;
    };
    config.callbacks.write_msr = [](void* c, uint32_t, uint32_t msr, uint64_t value) {
      auto* self = static_cast<Callbacks*>(c);
      return self->write_msr ? self->write_msr(msr, value) : SOFTCPU_ANSWER_DEFAULT;
    };
    config.callbacks.page_written = [](void* c, uint64_t gpa) {
      static_cast<Callbacks*>(c)->written.insert(gpa);
    };
    config.callbacks.exception = [](void* c, uint32_t, uint32_t vector) {
      auto* self = static_cast<Callbacks*>(c);
      return self->exception ? self->exception(vector) : SOFTCPU_ANSWER_DEFAULT;
    };
    EXPECT_EQ(softcpu_create(&config, &vm), SOFTCPU_OK);
    EXPECT_EQ(softcpu_map(vm, 0, kMemory, ram_, 7), SOFTCPU_OK);
    for (uint32_t name : {kCs, kDs, kEs, kSs}) Set(name, {0, Segment(name == kCs ? 0x9b : 0x93)});
    Set(kRip, {kCode, 0});
    Set(kRsp, {0x7000, 0});
  }
  ~Guest() {
    softcpu_destroy(vm);
    delete_pages(ram_);
  }

  static uint64_t Segment(uint64_t attributes, uint64_t selector = 0, uint32_t limit = 0xffff) {
    return limit | selector << 32 | attributes << 48;
  }
  void Code(const std::vector<uint8_t>& bytes, uint64_t at = kCode) {
    memcpy(ram_ + at, bytes.data(), bytes.size());
    softcpu_memory_written(vm, at, bytes.size());
  }
  void Set(uint32_t name, softcpu_value value, uint32_t cpu = 0) {
    EXPECT_EQ(softcpu_set(vm, cpu, &name, 1, &value), SOFTCPU_OK);
  }
  void Set(uint32_t name, uint64_t value) { Set(name, softcpu_value{value, 0}); }
  softcpu_value GetWide(uint32_t name, uint32_t cpu = 0) {
    softcpu_value value = {};
    EXPECT_EQ(softcpu_get(vm, cpu, &name, 1, &value), SOFTCPU_OK);
    return value;
  }
  uint64_t Get(uint32_t name, uint32_t cpu = 0) { return GetWide(name, cpu).low; }
  softcpu_exit Run(uint64_t limit = 0, uint32_t cpu = 0) {
    softcpu_exit exit = {};
    EXPECT_EQ(softcpu_run(vm, cpu, limit, &exit), SOFTCPU_OK);
    return exit;
  }
  // 64-bit mode at kCode with the first 2 MiB mapped one to one, page tables at 0x1000.
  void EnterLongMode() {
    auto* entries = reinterpret_cast<uint64_t*>(ram_);
    entries[0x1000 / 8] = 0x2003;
    entries[0x2000 / 8] = 0x3003;
    for (uint64_t n = 0; n < 512; n++) entries[0x3000 / 8 + n] = n << 21 | 0x83;
    Set(kCr4, 0x20);
    Set(kCr3, 0x1000);
    Set(kEfer, 0x500);
    Set(kCr0, 0x80000033);
    Set(kCs, {0, Segment(0xa09b, 8, 0xffffffff)});
    for (uint32_t name : {kDs, kEs, kSs}) Set(name, {0, Segment(0xc093, 16, 0xffffffff)});
    Set(kRip, kCode);
    Set(kRflags, 2);
  }
  uint8_t* ram() { return ram_; }

  Callbacks callbacks;
  softcpu_vm* vm = nullptr;

 private:
  uint8_t* ram_;
};

TEST(SoftCpu, RefusesAnotherAbi) {
  softcpu_config config = {};
  config.abi_version = SOFTCPU_ABI_VERSION + 1;
  config.struct_size = sizeof config;
  softcpu_vm* vm = nullptr;
  EXPECT_EQ(softcpu_create(&config, &vm), SOFTCPU_E_ABI);
}

TEST(SoftCpu, HaltReturnsWithRipAfterIt) {
  Guest guest;
  guest.Code({0xb8, 0x34, 0x12, 0xf4});  // mov ax, 0x1234; hlt
  softcpu_exit exit = guest.Run();
  EXPECT_EQ(exit.reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(guest.Get(kRip), kCode + 4);
  EXPECT_EQ(guest.Get(kRax), 0x1234u);
  EXPECT_EQ(softcpu_instructions(guest.vm, 0), 2u);
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(softcpu_is_runnable(guest.vm, 0), 0);
}

TEST(SoftCpu, PortReadIsCompletedByTheCaller) {
  Guest guest;
  guest.Code({0xba, 0xf8, 0x03, 0x66, 0xed, 0xe6, 0x80, 0xf4});  // mov dx; in eax, dx; out 0x80, al
  softcpu_exit exit = guest.Run();
  ASSERT_EQ(exit.reason, SOFTCPU_EXIT_IO);
  EXPECT_EQ(exit.address, 0x3f8u);
  EXPECT_EQ(exit.size, 4u);
  EXPECT_EQ(exit.access, 0u);
  EXPECT_EQ(exit.instruction_length, 2u);
  EXPECT_EQ(exit.io_string, 0u);
  EXPECT_GE(exit.instruction_bytes, 2u);
  EXPECT_EQ(exit.instruction[0], 0x66);
  EXPECT_EQ(guest.Get(kRip), kCode + 3);
  EXPECT_EQ(softcpu_instructions(guest.vm, 0), 1u);
  guest.Set(kRip, kCode + 5);
  guest.Set(kRax, 0x11223344);
  exit = guest.Run();
  ASSERT_EQ(exit.reason, SOFTCPU_EXIT_IO);
  EXPECT_EQ(exit.address, 0x80u);
  EXPECT_EQ(exit.access, 1u);
  EXPECT_EQ(exit.size, 1u);
  EXPECT_EQ(exit.instruction_length, 2u);
  EXPECT_EQ(guest.Get(kRax), 0x11223344u);
}

TEST(SoftCpu, StringPortIoIsMarked) {
  Guest guest;
  guest.Set(kRcx, 3);
  guest.Set(kRsi, 0x100);
  guest.Set(kRdx, 0x20);
  guest.Code({0xf3, 0x6e, 0xf4});  // rep outsb; hlt
  softcpu_exit exit = guest.Run();
  ASSERT_EQ(exit.reason, SOFTCPU_EXIT_IO);
  EXPECT_EQ(exit.io_string, 1u);
  EXPECT_EQ(exit.io_rep, 1u);
  EXPECT_EQ(exit.size, 1u);
  EXPECT_EQ(exit.instruction_length, 2u);
  EXPECT_EQ(guest.Get(kRcx), 3u);
  EXPECT_EQ(guest.Get(kRsi), 0x100u);
}

TEST(SoftCpu, AccessOutsideOfMemoryExitsBeforeItHappens) {
  Guest guest;
  guest.EnterLongMode();
  // mov rbx, 0x123008; mov eax, [rbx]; mov [rbx + 4], cx; hlt
  guest.Code({0x48, 0xc7, 0xc3, 0x08, 0x30, 0x12, 0x00, 0x8b, 0x03, 0x66, 0x89, 0x4b, 0x04, 0xf4});
  guest.Set(kRax, 0xdead);
  softcpu_exit exit = guest.Run();
  ASSERT_EQ(exit.reason, SOFTCPU_EXIT_MMIO);
  EXPECT_EQ(exit.address, 0x123008u);
  EXPECT_EQ(exit.gva, 0x123008u);
  EXPECT_EQ(exit.gva_valid, 1u);
  EXPECT_EQ(exit.access, 0u);
  EXPECT_EQ(exit.size, 4u);
  EXPECT_EQ(exit.unmapped, 1u);
  EXPECT_EQ(exit.instruction[0], 0x8b);
  EXPECT_EQ(guest.Get(kRip), kCode + 7);
  EXPECT_EQ(guest.Get(kRax), 0xdeadu);
  guest.Set(kRip, kCode + 9);
  exit = guest.Run();
  ASSERT_EQ(exit.reason, SOFTCPU_EXIT_MMIO);
  EXPECT_EQ(exit.address, 0x12300cu);
  EXPECT_EQ(exit.access, 1u);
  EXPECT_EQ(exit.size, 2u);
  EXPECT_EQ(guest.Get(kRip), kCode + 9);
  guest.Set(kRip, kCode + 13);
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
}

TEST(SoftCpu, ReadOnlyMemoryIsReadInPlaceAndExitsOnWrites) {
  Guest guest;
  guest.EnterLongMode();
  guest.ram()[0x90010] = 0x5a;
  ASSERT_EQ(softcpu_map(guest.vm, 0x90000, 0x1000, guest.ram() + 0x90000,
                        SOFTCPU_MAP_READ | SOFTCPU_MAP_EXECUTE),
            SOFTCPU_OK);
  // mov al, [0x90010]; mov [0x90010], cl; hlt
  guest.Code(
      {0x8a, 0x04, 0x25, 0x10, 0x00, 0x09, 0x00, 0x88, 0x0c, 0x25, 0x10, 0x00, 0x09, 0x00, 0xf4});
  softcpu_exit exit = guest.Run();
  ASSERT_EQ(exit.reason, SOFTCPU_EXIT_MMIO);
  EXPECT_EQ(exit.access, 1u);
  EXPECT_EQ(exit.address, 0x90010u);
  EXPECT_EQ(exit.unmapped, 0u);
  EXPECT_EQ(guest.Get(kRax) & 0xff, 0x5au);
  EXPECT_EQ(guest.ram()[0x90010], 0x5a);
}

TEST(SoftCpu, UserCodeWithoutPagingCannotWriteReadOnlyMemory) {
  Guest guest;
  ASSERT_EQ(softcpu_map(guest.vm, 0x90000, 0x1000, guest.ram() + 0x90000, SOFTCPU_MAP_READ),
            SOFTCPU_OK);
  guest.Set(kCr0, 0x11);
  guest.Set(kCs, {0, Guest::Segment(0xc0fb, 0x1b, 0xffffffff)});
  for (uint32_t name : {kDs, kSs}) guest.Set(name, {0, Guest::Segment(0xc0f3, 0x23, 0xffffffff)});
  guest.Set(kRip, kCode);
  guest.Set(kRbx, 0x90000);
  guest.Code({0x8b, 0x03, 0x89, 0x0b});  // mov eax, [ebx]; mov [ebx], ecx
  softcpu_exit exit = guest.Run();
  ASSERT_EQ(exit.reason, SOFTCPU_EXIT_MMIO);
  EXPECT_EQ(exit.access, 1u);
  EXPECT_EQ(exit.unmapped, 0u);
}

TEST(SoftCpu, FetchOutsideOfMemoryIsAnExit) {
  Guest guest;
  guest.EnterLongMode();
  guest.Set(kRip, 0x150000);
  softcpu_exit exit = guest.Run();
  ASSERT_EQ(exit.reason, SOFTCPU_EXIT_MMIO);
  EXPECT_EQ(exit.access, 2u);
  EXPECT_EQ(exit.address, 0x150000u);
  EXPECT_EQ(guest.Get(kRip), 0x150000u);
}

TEST(SoftCpu, CpuidIsPatchedByTheCaller) {
  Guest guest;
  guest.callbacks.cpuid = [](uint32_t function, uint32_t, uint32_t* out) {
    if (function == 1) out[2] |= 1u << 31;
    return SOFTCPU_ANSWER_DONE;
  };
  guest.Set(kRax, 1);
  guest.Code({0x0f, 0xa2, 0xf4});  // cpuid; hlt
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  uint64_t ecx = guest.Get(kRcx);
  EXPECT_TRUE(ecx >> 31 & 1);
  EXPECT_TRUE(ecx >> 30 & 1) << "RDRAND";
  EXPECT_TRUE(ecx >> 28 & 1) << "AVX";
  EXPECT_TRUE(ecx >> 24 & 1) << "TSC deadline";
  EXPECT_TRUE(ecx >> 21 & 1) << "x2APIC";
  EXPECT_FALSE(ecx >> 5 & 1) << "VMX";
  EXPECT_FALSE(ecx >> 3 & 1) << "MONITOR";
}

TEST(SoftCpu, CpuidCanExitWithTheDefaultAnswer) {
  Guest guest;
  guest.callbacks.cpuid = [](uint32_t, uint32_t, uint32_t*) { return SOFTCPU_ANSWER_EXIT; };
  guest.Set(kRax, 0);
  guest.Set(kRcx, 7);
  guest.Code({0x0f, 0xa2, 0xf4});
  softcpu_exit exit = guest.Run();
  ASSERT_EQ(exit.reason, SOFTCPU_EXIT_CPUID);
  EXPECT_EQ(exit.address, 0u);
  EXPECT_EQ(exit.cpuid_index, 7u);
  EXPECT_EQ(exit.instruction_length, 2u);
  EXPECT_EQ(exit.cpuid_default[1], 0x756e6547u);  // "Genu"
  EXPECT_EQ(guest.Get(kRip), kCode);
}

TEST(SoftCpu, ExceptionsThatTheCallerWantsExitBeforeTheyHappen) {
  Guest guest;
  guest.EnterLongMode();
  guest.callbacks.exception = [](uint32_t vector) {
    return vector == 6 || vector == 14 ? SOFTCPU_ANSWER_EXIT : SOFTCPU_ANSWER_DEFAULT;
  };
  guest.Code({0x50, 0x0f, 0x0b});  // push rax; ud2
  softcpu_exit exit = guest.Run();
  ASSERT_EQ(exit.reason, SOFTCPU_EXIT_EXCEPTION);
  EXPECT_EQ(exit.vector, 6u);
  EXPECT_EQ(exit.error_code_valid, 0u);
  EXPECT_EQ(guest.Get(kRip), kCode + 1);
  EXPECT_EQ(softcpu_instructions(guest.vm, 0), 1u);

  guest.Code({0xff, 0x33});  // push qword [rbx], of a page that is not there
  guest.Set(kRip, kCode);
  guest.Set(kRbx, uint64_t{1} << 32);
  uint64_t rsp = guest.Get(kRsp);
  exit = guest.Run();
  ASSERT_EQ(exit.reason, SOFTCPU_EXIT_EXCEPTION);
  EXPECT_EQ(exit.vector, 14u);
  EXPECT_EQ(exit.error_code_valid, 1u);
  EXPECT_EQ(exit.value, uint64_t{1} << 32);
  EXPECT_EQ(guest.Get(kRip), kCode);
  EXPECT_EQ(guest.Get(kRsp), rsp);
}

TEST(SoftCpu, ExceptionsOfADeliveryAreNotOffered) {
  Guest guest;
  guest.EnterLongMode();
  guest.Set(kIdtr, softcpu_value{0, 0});  // without a gate the delivery faults, twice
  std::vector<uint32_t> asked;
  guest.callbacks.exception = [&](uint32_t vector) {
    asked.push_back(vector);
    return vector == 6 ? SOFTCPU_ANSWER_DEFAULT : SOFTCPU_ANSWER_EXIT;
  };
  guest.Code({0x0f, 0x0b});
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_SHUTDOWN);
  EXPECT_EQ(asked, std::vector<uint32_t>{6});
}

TEST(SoftCpu, MsrsAreAskedForAnsweredOrExit) {
  Guest guest;
  std::vector<uint32_t> asked;
  guest.callbacks.read_msr = [&](uint32_t msr, uint64_t* value) {
    asked.push_back(msr);
    if (msr != 0x123) return SOFTCPU_ANSWER_DEFAULT;
    *value = 0x1122334455667788;
    return SOFTCPU_ANSWER_DONE;
  };
  guest.callbacks.write_msr = [&](uint32_t, uint64_t) { return SOFTCPU_ANSWER_EXIT; };
  // mov ecx, 0xc0000080; rdmsr; mov ecx, 0x123; rdmsr; wrmsr; hlt
  guest.Code({0x66, 0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x66, 0xb9, 0x23, 0x01, 0x00, 0x00,
              0x0f, 0x32, 0x0f, 0x30, 0xf4});
  softcpu_exit exit = guest.Run();
  ASSERT_EQ(exit.reason, SOFTCPU_EXIT_MSR);
  EXPECT_EQ(exit.access, 1u);
  EXPECT_EQ(exit.address, 0x123u);
  EXPECT_EQ(exit.value, 0x1122334455667788u);
  EXPECT_EQ(exit.instruction_length, 2u);
  EXPECT_EQ(guest.Get(kRax), 0x55667788u);
  EXPECT_EQ(guest.Get(kRdx), 0x11223344u);
  EXPECT_EQ(asked, std::vector<uint32_t>{0x123});
}

TEST(SoftCpu, UnknownMsrFaults) {
  Guest guest;
  // #GP (vector 13) of real mode goes to 0:0x9000, where a HLT waits.
  guest.ram()[13 * 4 + 1] = 0x90;
  guest.Code({0xf4}, 0x9000);
  guest.Set(kRcx, 0x777);
  guest.Code({0x0f, 0x32, 0xf4});
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(guest.Get(kRip), 0x9001u);
  EXPECT_EQ(softcpu_instructions(guest.vm, 0), 1u) << "the faulting RDMSR does not count";
}

TEST(SoftCpu, TripleFaultIsAShutdown) {
  Guest guest;
  guest.EnterLongMode();
  guest.Set(kIdtr, {0, 0});
  guest.Code({0x0f, 0x0b});  // ud2
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_SHUTDOWN);
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_SHUTDOWN);
}

TEST(SoftCpu, StackOutsideOfMemoryDuringAnExceptionIsAShutdown) {
  Guest guest;
  guest.EnterLongMode();
  auto* gate = reinterpret_cast<uint32_t*>(guest.ram() + 0x4000 + 6 * 16);
  gate[0] = 8 << 16 | 0x9000;
  gate[1] = 0x8e00;
  guest.Set(kIdtr, {0xfffull << 48, 0x4000});
  auto* gdt = reinterpret_cast<uint64_t*>(guest.ram() + 0x5000);
  gdt[1] = 0x00af9b000000ffff;
  guest.Set(0x1b, {0x1full << 48, 0x5000});
  guest.Set(kRsp, 0x160000);
  guest.Code({0x0f, 0x0b});
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_SHUTDOWN);
}

TEST(SoftCpu, CancelIsStickyAndReachesARunningLoop) {
  Guest guest;
  guest.Code({0xeb, 0xfe});  // jmp $
  softcpu_cancel(guest.vm, 0);
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_CANCELED);
  EXPECT_EQ(guest.Run(1000).reason, SOFTCPU_EXIT_NONE);
  std::atomic<bool> running{false};
  std::thread other([&] {
    while (!running) std::this_thread::yield();
    softcpu_cancel(guest.vm, 0);
  });
  running = true;
  softcpu_exit exit;
  do exit = guest.Run();
  while (exit.reason == SOFTCPU_EXIT_NONE);
  EXPECT_EQ(exit.reason, SOFTCPU_EXIT_CANCELED);
  other.join();
}

// Whatever the instructions cost: 20,000 times INVD is two seconds.
TEST(SoftCpu, CancelEndsTheTraceThatRuns) {
  Guest guest;
  guest.callbacks.cpuid = [&](uint32_t, uint32_t, uint32_t*) {
    softcpu_cancel(guest.vm, 0);
    return SOFTCPU_ANSWER_DONE;
  };
  guest.Code({0x0f, 0xa2, 0x0f, 0x08, 0xeb, 0xfc});  // cpuid; again: invd; jmp again
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_CANCELED);
  EXPECT_LT(softcpu_instructions(guest.vm, 0), 100u);
}

TEST(SoftCpu, DearInstructionsUseUpTheTimeOfARun) {
  Guest guest;
  guest.callbacks.cpuid = [&](uint32_t, uint32_t, uint32_t*) {
    guest.callbacks.now += 1'000'000;
    return SOFTCPU_ANSWER_DONE;
  };
  guest.Code({0x0f, 0xa2, 0x0f, 0x08, 0xeb, 0xfa});  // cpuid; invd; jmp to the start
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_NONE);
  EXPECT_LT(softcpu_instructions(guest.vm, 0), 100u);
}

TEST(SoftCpu, BudgetIsExact) {
  Guest guest;
  guest.Code({0x40, 0x40, 0x40, 0xeb, 0xfb});  // inc ax three times; jmp to the start
  for (uint64_t budget : {1, 2, 5, 31, 32, 33, 100, 19999, 50001}) {
    uint64_t before = softcpu_instructions(guest.vm, 0);
    EXPECT_EQ(guest.Run(budget).reason, SOFTCPU_EXIT_NONE);
    EXPECT_EQ(softcpu_instructions(guest.vm, 0) - before, budget);
  }
}

TEST(SoftCpu, RepeatedStringCountsOnce) {
  Guest guest;
  guest.EnterLongMode();
  guest.Set(kRcx, 50000);
  guest.Set(kRdi, 0x20000);
  guest.Set(kRax, 0xab);
  guest.Code({0xf3, 0xaa, 0xf4});  // rep stosb; hlt
  softcpu_exit exit;
  do exit = guest.Run();
  while (exit.reason == SOFTCPU_EXIT_NONE);
  ASSERT_EQ(exit.reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(softcpu_instructions(guest.vm, 0), 2u);
  EXPECT_EQ(guest.ram()[0x20000 + 49999], 0xab);
  EXPECT_EQ(guest.ram()[0x20000 + 50000], 0);
}

TEST(SoftCpu, TscFollowsTheClock) {
  Guest guest;
  guest.callbacks.now += 500;
  EXPECT_EQ(guest.Get(kTsc), 1000u);
  guest.Set(kTsc, 7);
  guest.callbacks.now += 1;
  EXPECT_EQ(guest.Get(kTsc), 9u);
}

// A handler for `vector` in long mode at 0x9000 that stores AL and returns.
void PrepareInterrupts(Guest* guest, uint8_t vector) {
  guest->EnterLongMode();
  auto* gate = reinterpret_cast<uint32_t*>(guest->ram() + 0x4000 + vector * 16);
  gate[0] = 8 << 16 | 0x9000;
  gate[1] = 0x8e00;
  guest->Set(kIdtr, {0xfffull << 48, 0x4000});
  auto* gdt = reinterpret_cast<uint64_t*>(guest->ram() + 0x5000);
  gdt[1] = 0x00af9b000000ffff;
  gdt[2] = 0x00cf93000000ffff;
  guest->Set(0x1b, {0x1full << 48, 0x5000});
  guest->Set(kRsp, 0x7000);
  // inc dword [0x6000]; mov ecx, 0x80b; xor eax, eax; xor edx, edx; wrmsr (EOI); iretq
  guest->Code({0xff, 0x04, 0x25, 0x00, 0x60, 0x00, 0x00, 0xb9, 0x0b, 0x08,
               0x00, 0x00, 0x31, 0xc0, 0x31, 0xd2, 0x0f, 0x30, 0x48, 0xcf},
              0x9000);
}

void AppendWrmsr(std::vector<uint8_t>* code, uint32_t msr, uint64_t value) {
  auto word = [&](uint32_t w) {
    for (int n = 0; n < 4; n++) code->push_back(uint8_t(w >> 8 * n));
  };
  code->push_back(0xb9);
  word(msr);
  code->push_back(0xb8);
  word(uint32_t(value));
  code->push_back(0xba);
  word(uint32_t(value >> 32));
  code->insert(code->end(), {0x0f, 0x30});
}

// Enables the x2APIC, as firmware or a kernel does.
std::vector<uint8_t> EnableX2Apic(bool bsp = true) {
  std::vector<uint8_t> code;
  AppendWrmsr(&code, 0x1b, 0xfee00c00 | (bsp ? 0x100 : 0));
  AppendWrmsr(&code, 0x80f, 0x1ff);
  return code;
}

uint32_t Handled(Guest* guest) {
  uint32_t count;
  memcpy(&count, guest->ram() + 0x6000, 4);
  return count;
}

TEST(SoftCpu, TscDeadlineWakesAHaltedProcessorAtItsTime) {
  Guest guest;
  PrepareInterrupts(&guest, 0x40);
  std::vector<uint8_t> code = EnableX2Apic();
  AppendWrmsr(&code, 0x832, 0x40040);  // LVT timer: TSC deadline, vector 0x40
  AppendWrmsr(&code, 0x6e0, 2'000'000);
  code.insert(code.end(), {0xfb, 0xf4, 0xf4});  // sti; hlt; hlt
  guest.Code(code);
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  uint64_t due = softcpu_next_timer_ns(guest.vm);
  EXPECT_EQ(due, 1'000'000u + 1'000'000u);  // 2 M ticks of 2 GHz
  guest.callbacks.now = due - 1;
  EXPECT_EQ(softcpu_is_runnable(guest.vm, 0), 0);
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(Handled(&guest), 0u);
  guest.callbacks.now = due;
  EXPECT_EQ(softcpu_is_runnable(guest.vm, 0), 1);
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(Handled(&guest), 1u);
  EXPECT_EQ(softcpu_next_timer_ns(guest.vm), UINT64_MAX);
  EXPECT_EQ(guest.Get(kRip), kCode + code.size());
}

TEST(SoftCpu, PeriodicApicTimerKeepsItsPeriod) {
  Guest guest;
  PrepareInterrupts(&guest, 0x40);
  std::vector<uint8_t> code = EnableX2Apic();
  AppendWrmsr(&code, 0x83e, 0xb);      // divide by 1
  AppendWrmsr(&code, 0x832, 0x20040);  // periodic
  AppendWrmsr(&code, 0x838, 1000);
  code.insert(code.end(), {0xfb, 0xf4, 0xeb, 0xfd});  // sti; hlt; jmp to the hlt
  guest.Code(code);
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  uint64_t first = softcpu_next_timer_ns(guest.vm);
  EXPECT_EQ(first, 1'001'000u);
  guest.callbacks.now = first + 300;  // looked at late
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(Handled(&guest), 1u);
  EXPECT_EQ(softcpu_next_timer_ns(guest.vm), first + 1000);
}

TEST(SoftCpu, RequestedInterruptIsDeliveredAndLevelEoiIsReported) {
  Guest guest;
  PrepareInterrupts(&guest, 0x51);
  std::vector<uint8_t> code = EnableX2Apic();
  code.insert(code.end(), {0xfb, 0xf4, 0xf4});
  guest.Code(code);
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  softcpu_interrupt interrupt = {SOFTCPU_INTERRUPT_FIXED, 0, 1, 0, 0x51};
  std::thread([&] {
    EXPECT_EQ(softcpu_request_interrupt(guest.vm, &interrupt), SOFTCPU_OK);
  }).join();
  softcpu_exit exit = guest.Run();
  ASSERT_EQ(exit.reason, SOFTCPU_EXIT_EOI);
  EXPECT_EQ(exit.vector, 0x51u);
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(Handled(&guest), 1u);
}

TEST(SoftCpu, InterruptRequestedMeanwhileIsTakenAtOnce) {
  Guest guest;
  PrepareInterrupts(&guest, 0x51);
  guest.callbacks.cpuid = [&](uint32_t, uint32_t, uint32_t*) {
    softcpu_interrupt interrupt = {SOFTCPU_INTERRUPT_FIXED, 0, 1, 0, 0x51};
    EXPECT_EQ(softcpu_request_interrupt(guest.vm, &interrupt), SOFTCPU_OK);
    return SOFTCPU_ANSWER_DONE;
  };
  std::vector<uint8_t> code = EnableX2Apic();
  code.insert(code.end(), {0xfb, 0x0f, 0xa2, 0xeb, 0xfe});  // sti; cpuid; jmp $
  guest.Code(code);
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_EOI);
  EXPECT_LT(softcpu_instructions(guest.vm, 0), 200u);
}

TEST(SoftCpu, PendingInterruptionIsInjected) {
  Guest guest(1, SOFTCPU_APIC_NONE);
  PrepareInterrupts(&guest, 0x33);
  guest.Code({0xf4}, 0x9007);  // the handler ends after its count: no APIC to acknowledge
  guest.Code({0xf4, 0xf4});
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  guest.Set(kPendingInterruption, 1 | 0x33 << 16);
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(Handled(&guest), 1u);
  EXPECT_EQ(guest.Get(kPendingInterruption), 0u);
}

TEST(SoftCpu, InterruptWindowIsReportedOnce) {
  Guest guest(1, SOFTCPU_APIC_NONE);
  guest.EnterLongMode();
  guest.Code({0x90, 0xfb, 0x90, 0x90, 0xf4});  // nop; sti; nop; nop; hlt
  guest.Set(kDeliverabilityNotifications, 2);
  softcpu_exit exit = guest.Run();
  ASSERT_EQ(exit.reason, SOFTCPU_EXIT_WINDOW);
  EXPECT_EQ(guest.Get(kRip), kCode + 3) << "after the instruction that STI protects";
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
}

TEST(SoftCpu, HaltedProcessorReportsAnOpenWindow) {
  Guest guest(1, SOFTCPU_APIC_NONE);
  PrepareInterrupts(&guest, 0x33);
  guest.Code({0xf4}, 0x9007);
  guest.Code({0xfb, 0xf4, 0xf4});  // sti; hlt; hlt
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  guest.Set(kDeliverabilityNotifications, 2);
  EXPECT_EQ(softcpu_is_runnable(guest.vm, 0), 1);
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_WINDOW);
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  guest.Set(kPendingEvent, 1 | 5 << 1 | 0x33 << 8);
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(Handled(&guest), 1u);
  EXPECT_EQ(guest.Get(kPendingEvent), 0u);
}

TEST(SoftCpu, HandlerThatExitsAtOnceKeepsItsRip) {
  Guest guest;
  PrepareInterrupts(&guest, 2);
  guest.Code({0xe6, 0x80}, 0x9000);  // out 0x80, al
  std::vector<uint8_t> code = EnableX2Apic();
  code.insert(code.end(), {0xf4, 0xf4});
  guest.Code(code);
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  softcpu_interrupt nmi = {SOFTCPU_INTERRUPT_NMI, 0, 0, 0, 2};
  ASSERT_EQ(softcpu_request_interrupt(guest.vm, &nmi), SOFTCPU_OK);
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_IO);
  EXPECT_EQ(guest.Get(kRip), 0x9000u);
}

TEST(SoftCpu, DeadlineInThePastFiresAtOnce) {
  Guest guest;
  PrepareInterrupts(&guest, 0x40);
  guest.Set(kTsc, 1'000'000'000'000);
  std::vector<uint8_t> code = EnableX2Apic();
  AppendWrmsr(&code, 0x832, 0x40040);
  code.push_back(0xfb);
  AppendWrmsr(&code, 0x6e0, 1);
  code.insert(code.end(), {0xeb, 0xfe});  // jmp $
  guest.Code(code);
  EXPECT_EQ(guest.Run(400).reason, SOFTCPU_EXIT_NONE);
  EXPECT_EQ(Handled(&guest), 1u);
}

TEST(SoftCpu, AccessAcrossAPageIsReportedWhereItLeavesMemory) {
  Guest guest;
  guest.EnterLongMode();
  guest.Set(kRbx, kMemory - 2);
  guest.Code({0x89, 0x03});  // mov [rbx], eax
  softcpu_exit exit = guest.Run();
  ASSERT_EQ(exit.reason, SOFTCPU_EXIT_MMIO);
  EXPECT_EQ(exit.address, kMemory);
  EXPECT_EQ(exit.gva, kMemory);
  EXPECT_EQ(exit.size, 2u);
}

TEST(SoftCpu, AccessAcrossAPageThatExitsHasChangedNothing) {
  Guest guest;
  guest.EnterLongMode();
  auto* rom = new_pages(4096);
  memset(rom, 0, 4096);
  guest.Set(kRbx, kMemory - 2);
  guest.Set(kRax, 0x11111111);
  for (bool mapped : {false, true}) {
    if (mapped) {
      EXPECT_EQ(softcpu_map(guest.vm, kMemory, 4096, rom, SOFTCPU_MAP_READ), SOFTCPU_OK);
    }
    for (uint8_t opcode : {0x89, 0x01}) {  // mov [rbx], eax; add [rbx], eax
      guest.Code({opcode, 0x03});
      softcpu_exit exit = guest.Run();
      ASSERT_EQ(exit.reason, SOFTCPU_EXIT_MMIO);
      EXPECT_EQ(exit.address, kMemory);
      EXPECT_EQ(exit.unmapped, mapped ? 0u : 1u);
      EXPECT_EQ(exit.access, opcode == 0x01 && !mapped ? 0u : 1u);
      EXPECT_EQ(guest.ram()[kMemory - 2], 0);
      EXPECT_EQ(guest.ram()[kMemory - 1], 0);
      EXPECT_EQ(guest.Get(kRip), kCode);
    }
  }
  delete_pages(rom);
}

TEST(SoftCpu, CodeWrittenByTheHostIsDecodedAnew) {
  Guest guest;
  guest.Code({0xb0, 0x01, 0xf4});  // mov al, 1; hlt
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(guest.Get(kRax) & 0xff, 1u);
  guest.ram()[kCode + 1] = 2;
  ASSERT_EQ(softcpu_memory_written(guest.vm, kCode + 1, 1), SOFTCPU_OK);
  guest.Set(kRip, kCode);
  guest.Set(0x80000005, 0);  // no longer halted
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(guest.Get(kRax) & 0xff, 2u);
}

TEST(SoftCpu, SaysWhichPagesHoldCode) {
  Guest guest;
  EXPECT_EQ(softcpu_holds_code(guest.vm, 0, kMemory), 0);
  // The second instruction begins in one page and ends in the next.
  const uint64_t at = kCode + 0xffd;
  guest.Code({0xb0, 0x01, 0xb8, 0x02, 0x03, 0xf4}, at);  // mov al, 1; mov ax, 0x302; hlt
  guest.Set(kRip, at);
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(softcpu_holds_code(guest.vm, kCode, 1), 1);
  EXPECT_EQ(softcpu_holds_code(guest.vm, kCode + 0x1000, 1), 1);
  EXPECT_EQ(softcpu_holds_code(guest.vm, kCode - 0x1000, 0x1000), 0);
  EXPECT_EQ(softcpu_holds_code(guest.vm, kCode - 1, 2), 1);
  EXPECT_EQ(softcpu_holds_code(guest.vm, kCode + 0x2000, kMemory), 0);
  ASSERT_EQ(softcpu_memory_written(guest.vm, kCode, 0x2000), SOFTCPU_OK);
  EXPECT_EQ(softcpu_holds_code(guest.vm, kCode, 0x2000), 0);
  EXPECT_EQ(softcpu_holds_code(guest.vm, UINT64_MAX, 2), 1);  // softcpu_memory_written refuses it
}

// A guest that polls memory calls what another thread has written a moment ago.
TEST(SoftCpu, CodeThatIsWrittenBesideARunningGuestIsNeverStale) {
  Guest guest;
  guest.Code({0xa0, 0x00, 0x60,        // again: mov al, [0x6000]
              0x3a, 0x06, 0x01, 0x60,  // cmp al, [0x6001]
              0x74, 0xf7,              // je again
              0xa2, 0x01, 0x60,        // mov [0x6001], al
              0xff, 0x16, 0x04, 0x60,  // call [0x6004]
              0xeb, 0xee});            // jmp again
  volatile uint8_t* shared = guest.ram() + 0x6000;
  std::mutex turn;
  std::atomic<bool> over{false}, wanted{false};
  std::thread processor([&] {
    while (!over.load()) {
      while (wanted.load()) std::this_thread::yield();
      const std::lock_guard lock(turn);
      guest.Run(20'000);
    }
  });
  unsigned not_told = 0;
  for (uint32_t round = 1; round <= 3'000; ++round) {
    const uint16_t page = 0x9000 + round % 6 * 0x1000;
    const auto value = static_cast<uint8_t>(round);
    const uint8_t code[] = {0xb0, value, 0xa2,
                            0x02, 0x60,  0xc3};  // mov al, value; mov [0x6002], al; ret
    memcpy(guest.ram() + page, code, sizeof code);
    if (softcpu_holds_code(guest.vm, page, sizeof code)) {
      wanted.store(true);
      softcpu_cancel(guest.vm, 0);
      const std::lock_guard lock(turn);
      wanted.store(false);
      // Now and then the whole page, after which it holds none.
      ASSERT_EQ(softcpu_memory_written(guest.vm, page, round % 2 ? 0x1000 : sizeof code),
                SOFTCPU_OK);
    } else {
      ++not_told;
    }
    memcpy(guest.ram() + 0x6004, &page, sizeof page);
    shared[2] = static_cast<uint8_t>(~value);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    shared[0] = value;
    while (shared[1] != value) std::this_thread::yield();
    while (shared[2] == static_cast<uint8_t>(~value)) std::this_thread::yield();
    ASSERT_EQ(shared[2], value) << "round " << round;
  }
  over.store(true);
  processor.join();
  EXPECT_GT(not_told, 0u);
}

// Instructions that Bochs has one function for, and we another (frequent.cc): the program runs at
// once by ours, and one by one by Bochs's, to which the last of a budget are left.
class Programs {
 public:
  explicit Programs(uint32_t seed) : random_(seed) {}

  static constexpr uint64_t kProgram = 0x10000, kFunction = 0x18000, kData = 0x41000,
                            kStack = 0x50000;

  std::vector<uint8_t> Make(unsigned length) {
    bytes_.clear();
    for (unsigned n = 0; n < length; n++) One();
    bytes_.push_back(0xf4);
    return bytes_;
  }

 private:
  unsigned Below(unsigned n) { return static_cast<unsigned>(random_() % n); }
  void Put(std::initializer_list<uint64_t> bytes) {
    for (uint64_t byte : bytes) bytes_.push_back(static_cast<uint8_t>(byte));
  }
  void Number(unsigned size) {
    while (size--) Put({Below(2) ? Below(256) : Below(2) * 255});
  }
  // All but RSP, RBX and RSI, of which addresses are made.
  unsigned Register() {
    static const unsigned kOf[] = {0, 1, 2, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return kOf[Below(std::size(kOf))];
  }
  // [prefix] REX opcode ModRM… with a register and, in memory or in a register, what `digit` is
  // not.
  void Operands(std::initializer_list<uint64_t> opcode, int digit, bool wide,
                bool memory_only = false, unsigned prefix = 0, bool register_only = false) {
    const unsigned reg = digit < 0 ? Register() : static_cast<unsigned>(digit);
    const bool memory = !register_only && (memory_only || Below(2));
    const unsigned rm = memory ? 3 : Register();
    if (prefix) Put({prefix});
    // Without REX some bytes are AH to BH; BH is of an address.
    Put({0x40u | (wide ? 8u : 0u) | (digit < 0 ? reg >> 3 << 2 : 0u) | (memory ? 0u : rm >> 3)});
    Put(opcode);
    if (!memory) {
      Put({0xc0 | (reg & 7) << 3 | (rm & 7)});
    } else if (Below(2)) {
      Put({0x40 | (reg & 7) << 3 | 3, Below(256)});  // [rbx + n]
    } else {
      Put({0x44 | (reg & 7) << 3, Below(4) << 6 | 6 << 3 | 3, Below(256)});  // [rbx + rsi * n + n]
    }
  }
  void One() {
    const bool wide = Below(2);
    static const unsigned kAlu[] = {0x00, 0x08, 0x20, 0x28, 0x30, 0x38};
    const unsigned alu = kAlu[Below(6)];
    switch (Below(26)) {
      case 0:
        return Operands({alu | 1}, -1, wide);
      case 1:
        return Operands({alu | 3}, -1, wide);
      case 2:
        Operands({0x81}, static_cast<int>(alu >> 3), wide);
        return Number(4);
      case 3:
        Operands({0x83}, static_cast<int>(alu >> 3), wide);
        return Number(1);
      case 4:
        return Operands({Below(2) ? 0x85u : 0x84u}, -1, wide);
      case 5:
        Operands({0xf7}, 0, wide);
        return Number(4);
      case 6: {
        const bool test = Below(2);
        Operands({test ? 0xf6u : 0x80u}, test ? 0 : 7, false);
        return Number(1);
      }
      case 7:
        return Operands({Below(2) ? 0x38u : 0x3au}, -1, false);
      case 8:
        return Operands({Below(2) ? 0x89u : 0x8bu}, -1, wide);
      case 9:
        return Operands({Below(2) ? 0x88u : 0x8au}, -1, false);
      case 10:
        Operands({0xc7}, 0, wide);
        return Number(4);
      case 11:
        Operands({0xc6}, 0, false);
        return Number(1);
      case 12:
        Operands({0x89}, -1, false, true, 0x66);
        Operands({0xc7}, 0, false, true, 0x66);
        return Number(2);
      case 13: {
        const unsigned reg = Register();
        Put({0x40u | (wide ? 8u : 0u) | reg >> 3, 0xb8 | (reg & 7)});
        return Number(wide ? 8 : 4);
      }
      case 14:
        return Operands({0x0f, Below(2) ? 0xb6u : 0xb7u}, -1, false);
      case 15:
        return Operands({0x0f, Below(2) ? 0xbeu : 0xbfu}, -1, false);
      case 16:
        return Operands({0x63}, -1, true);
      case 17:
        return Operands({0x8d}, -1, wide, true);
      case 18:
        return Operands({0xff}, static_cast<int>(Below(2)), wide);
      case 19:
        return Operands({0xf7}, static_cast<int>(2 + Below(2)), wide);
      case 20: {
        static const int kShifts[] = {4, 5, 7};
        const int digit = kShifts[Below(3)];
        if (Below(4) == 0) return Operands({Below(2) ? 0xd3u : 0xd1u}, digit, wide);
        Operands({0xc1}, digit, wide);
        return Number(1);
      }
      case 21: {
        const unsigned reg = Register();
        if (Below(5) == 0) {
          Put({0x68});
          return Number(4);
        }
        return Put({0x40 | reg >> 3, (Below(2) ? 0x50u : 0x58u) | (reg & 7)});
      }
      case 22:
        return Operands({0x0f, 0x90 | Below(16)}, 0, false, false, 0, true);
      case 23:
        return Operands({0x0f, 0x40 | Below(16)}, -1, wide);
      case 24: {  // a jump over what it may jump over
        Put({Below(8) ? 0x70 | Below(16) : 0xebu, 0});
        const size_t at = bytes_.size();
        Put({0x90});
        Operands({0x03}, -1, wide);
        bytes_[at - 1] = static_cast<uint8_t>(bytes_.size() - at);
        return;
      }
      default: {  // a call, of an address that is in a register, in memory or in the instruction
        const uint64_t to = kFunction + Below(3) * 16;
        switch (Below(3)) {
          case 0:
            Put({0xe8});
            return Relative(to);
          case 1:
            Put({0xb8, to & 0xff, to >> 8 & 0xff, to >> 16, 0, 0xff,
                 0xd0});  // mov eax, n; call rax
            return;
          default:  // mov qword [0x48000], n; call [0x48000]
            Put({0x48, 0xc7, 0x04, 0x25, 0, 0x80, 4, 0, to & 0xff, to >> 8 & 0xff, to >> 16, 0,
                 0xff, 0x14, 0x25, 0, 0x80, 4, 0});
            return;
        }
      }
    }
  }
  void Relative(uint64_t to) {
    const uint64_t from = kProgram + bytes_.size() + 4, by = to - from;
    for (unsigned n = 0; n < 4; n++) bytes_.push_back(static_cast<uint8_t>(by >> 8 * n));
  }

  std::mt19937 random_;
  std::vector<uint8_t> bytes_;
};

TEST(SoftCpu, FrequentInstructionsDoWhatTheirGeneralOnesDo) {
  for (uint32_t seed = 1; seed <= 60; seed++) {
    const std::vector<uint8_t> program = Programs(seed).Make(400);
    struct {
      uint64_t registers[18], instructions;
      std::vector<uint8_t> memory;
    } after[2];
    for (unsigned one_by_one = 0; one_by_one < 2; one_by_one++) {
      Guest guest;
      guest.EnterLongMode();
      std::mt19937 random(seed);
      for (uint64_t at = 0x40000; at < 0x60000; at++)
        guest.ram()[at] = static_cast<uint8_t>(random());
      guest.Code(program, Programs::kProgram);
      guest.Code({0x48, 0x01, 0xc8, 0xc3}, Programs::kFunction);  // add rax, rcx; ret
      guest.Code({0x52, 0x31, 0xd2, 0x5a, 0xc3},
                 Programs::kFunction + 16);  // push rdx; xor edx, edx; pop rdx; ret
      guest.Code({0x48, 0xff, 0xc1, 0x75, 0x01, 0x90, 0xc2, 0, 0},
                 Programs::kFunction + 32);  // inc rcx; jnz over nop; ret 0
      for (uint32_t name = kRax; name < kRax + 16; name++)
        guest.Set(name, random() * uint64_t{0x100000001});
      guest.Set(kRbx, Programs::kData);
      guest.Set(kRsi, random() % 64);
      guest.Set(kRsp, Programs::kStack);
      guest.Set(kRip, Programs::kProgram);
      softcpu_exit exit = guest.Run(one_by_one);
      while (exit.reason == SOFTCPU_EXIT_NONE) exit = guest.Run(one_by_one);
      ASSERT_EQ(exit.reason, SOFTCPU_EXIT_HALT) << "seed " << seed << " at " << guest.Get(kRip);
      for (uint32_t n = 0; n < 18; n++) after[one_by_one].registers[n] = guest.Get(kRax + n);
      after[one_by_one].instructions = softcpu_instructions(guest.vm, 0);
      after[one_by_one].memory.assign(guest.ram() + 0x40000, guest.ram() + 0x60000);
    }
    for (uint32_t n = 0; n < 18; n++)
      EXPECT_EQ(after[0].registers[n], after[1].registers[n])
          << "seed " << seed << ", register " << n;
    EXPECT_EQ(after[0].instructions, after[1].instructions) << "seed " << seed;
    EXPECT_EQ(after[0].memory, after[1].memory) << "seed " << seed;
    if (testing::Test::HasFailure()) break;
  }
}

// Where calls return to and where computed jumps go is remembered (frequent.cc).
TEST(SoftCpu, ACallReturnsToWhatHasBeenWrittenThere) {
  Guest guest;
  guest.EnterLongMode();
  guest.Set(kRbx, 0);
  // mov ecx, 4; 1: call f; mov al, 1; add bl, al; dec ecx; jnz 1b; hlt
  guest.Code(
      {0xb9, 4, 0, 0, 0, 0xe8, 0x36, 0, 0, 0, 0xb0, 1, 0x00, 0xc3, 0xff, 0xc9, 0x75, 0xf3, 0xf4});
  // f: inc byte [kCode + 11], the number that is moved; ret
  guest.Code({0xfe, 0x04, 0x25, 0x0b, 0x80, 0, 0, 0xc3}, kCode + 0x40);
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(guest.Get(kRbx), 2u + 3 + 4 + 5);
}

TEST(SoftCpu, AComputedCallGoesWhereThePageIsMappedNow) {
  Guest guest;
  guest.EnterLongMode();
  auto* entries = reinterpret_cast<uint64_t*>(guest.ram());
  entries[0x3000 / 8 + 1] = 0x4003;
  entries[0x4000 / 8] = 0x20003;
  guest.Set(kRbx, 0);
  guest.Code({0x80, 0xc3, 0x01, 0xc3}, 0x20000);  // add bl, 1; ret
  guest.Code({0x80, 0xc3, 0x10, 0xc3}, 0x21000);  // add bl, 16; ret
  // mov ecx, 4; mov edx, 0x200000; 1: call rdx; xor dword [0x4000], 0x1000; invlpg [rdx]; dec ecx;
  // jnz 1b; hlt
  guest.Code({0xb9, 4, 0, 0, 0,    0xba, 0, 0,    0x20, 0,    0xff, 0xd2, 0x81, 0x34, 0x25, 0,
              0x40, 0, 0, 0, 0x10, 0,    0, 0x0f, 0x01, 0x3a, 0xff, 0xc9, 0x75, 0xec, 0xf4});
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(guest.Get(kRbx), 0x22u);
}

TEST(SoftCpu, AUserCannotJumpToWhereItsKernelJumped) {
  Guest guest;
  guest.EnterLongMode();
  guest.Set(kEfer, 0x501);
  auto* entries = reinterpret_cast<uint64_t*>(guest.ram());
  entries[0x1000 / 8] |= 4;
  entries[0x2000 / 8] |= 4;
  entries[0x3000 / 8 + 1] = 0x4007;
  entries[0x4000 / 8] = 0x20007;
  guest.Code({0xff, 0xe2}, 0x20000);  // at 0x200000, the user's: jmp rdx
  guest.Code({0xc3}, kCode + 0x80);   // the kernel's: ret
  // mov edx, kCode + 0x80; call rdx; call rdx; mov ecx, 0x200000; mov r11d, 2; sysretq
  guest.Code({0xba, 0x80, 0x80, 0,    0, 0xff, 0xd2, 0xff, 0xd2, 0xb9, 0,   0,
              0x20, 0,    0x41, 0xbb, 2, 0,    0,    0,    0x48, 0x0f, 0x07});
  guest.callbacks.exception = [](uint32_t) { return SOFTCPU_ANSWER_EXIT; };
  const softcpu_exit exit = guest.Run();
  ASSERT_EQ(exit.reason, SOFTCPU_EXIT_EXCEPTION);
  EXPECT_EQ(exit.vector, 14u);
  EXPECT_EQ(exit.value, kCode + 0x80);
  EXPECT_EQ(guest.Get(kRip), kCode + 0x80);
}

// A page of 4 KiB at a linear address, by tables from 0x60000 on.
class SmallPages {
 public:
  explicit SmallPages(Guest& guest) : ram_(guest.ram()) {}
  void Map(uint64_t linear, uint64_t physical, uint64_t rights = 3) {
    uint64_t table = 0x1000;
    for (unsigned shift : {39u, 30u, 21u}) {
      uint64_t& entry = Entry(table, linear >> shift);
      if ((entry & 1) == 0 || (entry & 0x80) != 0) entry = next_, next_ += 0x1000;
      entry |= rights;
      table = entry & ~uint64_t{0xfff};
    }
    Entry(table, linear >> 12) = physical | rights;
  }

 private:
  uint64_t& Entry(uint64_t table, uint64_t index) {
    return reinterpret_cast<uint64_t*>(ram_ + table)[index & 511];
  }
  uint8_t* ram_;
  uint64_t next_ = 0x60000;
};

// mov eax, 0x9003; mov dr0, rax; mov eax, 0x402; mov dr7, rax; mov eax, `to`; call rax; hlt
std::vector<uint8_t> BreakAt9003AndCall(uint16_t to) {
  return {0xb8,
          3,
          0x90,
          0,
          0,
          0x0f,
          0x23,
          0xc0,
          0xb8,
          2,
          4,
          0,
          0,
          0x0f,
          0x23,
          0xf8,
          0xb8,
          static_cast<uint8_t>(to),
          static_cast<uint8_t>(to >> 8),
          0,
          0,
          0xff,
          0xd0,
          0xf4};
}

TEST(SoftCpu, ABreakpointIsMetHoweverItsPageIsEntered) {
  for (const bool was_decoded : {false, true}) {
    for (const uint16_t to : {uint16_t{0x9000}, uint16_t{0x8ffe}}) {
      Guest guest;
      guest.EnterLongMode();
      guest.Set(kRbx, 0);
      guest.callbacks.exception = [](uint32_t) { return SOFTCPU_ANSWER_EXIT; };
      std::vector<uint8_t> code;
      if (was_decoded) {  // mov eax, `to`; call rax
        code = {0xb8, static_cast<uint8_t>(to), static_cast<uint8_t>(to >> 8), 0, 0, 0xff, 0xd0};
      }
      const std::vector<uint8_t> rest = BreakAt9003AndCall(to);
      code.insert(code.end(), rest.begin(), rest.end());
      guest.Code(code);
      guest.Code({0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x48, 0xff, 0xc3, 0xc3}, 0x8ffe);
      const softcpu_exit exit = guest.Run();
      ASSERT_EQ(exit.reason, SOFTCPU_EXIT_EXCEPTION) << was_decoded << " " << to;
      EXPECT_EQ(exit.vector, 1u);
      EXPECT_EQ(guest.Get(kRip), 0x9003u);
      EXPECT_EQ(guest.Get(kRbx), was_decoded ? 1u : 0u);
    }
  }
}

TEST(SoftCpu, WhatFollowsAPageIsWhatIsMappedBehindIt) {
  Guest guest;
  guest.EnterLongMode();
  SmallPages pages(guest);
  for (const uint64_t linear : {0x200000, 0x400000}) pages.Map(linear, 0x20000);
  pages.Map(0x201000, 0x21000);
  pages.Map(0x401000, 0x22000);
  guest.Code({0x90, 0x90}, 0x20ffe);
  guest.Code({0x80, 0xc3, 0x01, 0xc3}, 0x21000);  // add bl, 1; ret
  guest.Code({0x80, 0xc3, 0x10, 0xc3}, 0x22000);  // add bl, 16; ret
  guest.Set(kRbx, 0);
  // mov eax, 0x200ffe; mov edx, 0x400ffe; call rax; call rax; call rdx; call rdx; hlt
  guest.Code({0xb8, 0xfe, 0x0f, 0x20, 0, 0xba, 0xfe, 0x0f, 0x40, 0, 0xff, 0xd0, 0xff, 0xd0, 0xff,
              0xd2, 0xff, 0xd2, 0xf4});
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(guest.Get(kRbx), 0x22u);
}

TEST(SoftCpu, AUserDoesNotRunIntoAPageOfTheKernels) {
  Guest guest;
  guest.EnterLongMode();
  guest.Set(kEfer, 0x501);
  SmallPages pages(guest);
  pages.Map(0x200000, 0x20000, 7);
  pages.Map(0x201000, 0x21000, 7);
  // The kernel's alone.
  reinterpret_cast<uint64_t*>(guest.ram())[0x60000 / 8 + 1] &= ~uint64_t{4};
  guest.Code({0x90, 0x90}, 0x20ffe);
  guest.Code({0x80, 0xc3, 0x01, 0xc3}, 0x21000);  // add bl, 1; ret
  guest.Set(kRbx, 0);
  guest.callbacks.exception = [](uint32_t) { return SOFTCPU_ANSWER_EXIT; };
  // mov eax, 0x200ffe; call rax; call rax; mov ecx, eax; mov r11d, 2; sysretq
  guest.Code({0xb8, 0xfe, 0x0f, 0x20, 0, 0xff, 0xd0, 0xff, 0xd0, 0x89,
              0xc1, 0x41, 0xbb, 2,    0, 0,    0,    0x48, 0x0f, 0x07});
  const softcpu_exit exit = guest.Run();
  ASSERT_EQ(exit.reason, SOFTCPU_EXIT_EXCEPTION);
  EXPECT_EQ(exit.vector, 14u);
  EXPECT_EQ(exit.value, 0x201000u);
  EXPECT_EQ(guest.Get(kRbx), 2u);
}

TEST(SoftCpu, AnAccessAcrossTwoPagesReachesBothWhereverTheyLie) {
  for (const uint64_t border : {uint64_t{0x201000}, uint64_t{0x200000000}, uint64_t{0x400000000},
                                uint64_t{0xffff888200000000}}) {
    Guest guest;
    guest.EnterLongMode();
    SmallPages pages(guest);
    pages.Map(border - 0x1000, 0x50000);
    pages.Map(border, 0x52000);
    guest.Set(kRbx, border - 4);
    guest.Set(kRcx, 0x8877665544332211);
    // mov [rbx - 8], rcx; mov [rbx], rcx; mov rax, [rbx]; hlt
    guest.Code({0x48, 0x89, 0x4b, 0xf8, 0x48, 0x89, 0x0b, 0x48, 0x8b, 0x03, 0xf4});
    ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
    EXPECT_EQ(guest.Get(kRax), 0x8877665544332211u);
    uint32_t behind, second;
    memcpy(&behind, guest.ram() + 0x51000, 4);
    memcpy(&second, guest.ram() + 0x52000, 4);
    EXPECT_EQ(behind, 0u) << border;
    EXPECT_EQ(second, 0x88776655u) << border;
  }
}

TEST(SoftCpu, RemappedMemoryIsSeenAtOnce) {
  Guest guest;
  guest.Code({0xb0, 0x01, 0xf4});
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  uint8_t* other = guest.ram() + 0x40000;
  memcpy(other, "\xb0\x03\xf4", 3);
  ASSERT_EQ(softcpu_map(guest.vm, kCode, 0x1000, other, 7), SOFTCPU_OK);
  guest.Set(kRip, kCode);
  guest.Set(0x80000005, 0);
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(guest.Get(kRax) & 0xff, 3u);
  ASSERT_EQ(softcpu_unmap(guest.vm, kCode, 0x1000), SOFTCPU_OK);
  guest.Set(kRip, kCode);
  guest.Set(0x80000005, 0);
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_MMIO);
}

TEST(SoftCpu, MachinesAreIndependent) {
  auto first = std::make_unique<Guest>();
  Guest second;
  auto code = std::vector<uint8_t>{0x66, 0xb9, 0x77, 0x02, 0x00, 0x00, 0x0f, 0x32, 0xf4};
  first->Code(code);  // mov ecx, 0x277 (PAT); rdmsr; hlt
  second.Code(code);
  EXPECT_EQ(first->Run().reason, SOFTCPU_EXIT_HALT);
  first.reset();
  EXPECT_EQ(second.Run().reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(second.Get(kRax), 0x00070406u);
}

TEST(SoftCpu, RandomNumbersDifferBetweenMachines) {
  uint64_t values[2];
  for (uint64_t& value : values) {
    Guest guest;
    guest.EnterLongMode();
    guest.Code({0x48, 0x0f, 0xc7, 0xf0, 0xf4});  // rdrand rax; hlt
    ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
    EXPECT_TRUE(guest.Get(kRflags) & 1);
    value = guest.Get(kRax);
  }
  EXPECT_NE(values[0], values[1]);
}

TEST(SoftCpu, InitAndSipiStartASecondProcessor) {
  Guest guest(2);
  EXPECT_EQ(guest.Run(0, 1).reason, SOFTCPU_EXIT_HALT);
  guest.EnterLongMode();
  guest.Code({0xb0, 0x77, 0xa2, 0x00, 0x60, 0xf4}, 0xa000);  // mov al, 0x77; mov [0x6000], al; hlt
  std::vector<uint8_t> code = EnableX2Apic();
  AppendWrmsr(&code, 0x830, 1ull << 32 | 0x4500);  // INIT to APIC 1
  AppendWrmsr(&code, 0x830, 1ull << 32 | 0x460a);  // SIPI to 0xa000
  code.push_back(0xf4);
  guest.Code(code);
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(softcpu_is_runnable(guest.vm, 1), 1);
  EXPECT_EQ(guest.Run(0, 1).reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(guest.ram()[0x6000], 0x77);
  EXPECT_EQ(guest.GetWide(kCs, 1).high >> 32 & 0xffff, 0xa00u);
  // Again, while it is halted and without a turn in between.
  guest.ram()[0x6000] = 0;
  guest.Set(kRip, kCode + EnableX2Apic().size());
  guest.Set(0x80000005, 0);
  EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(guest.Run(0, 1).reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(guest.ram()[0x6000], 0x77);
}

TEST(SoftCpu, TranslatesThroughTheGuestsTables) {
  Guest guest;
  guest.EnterLongMode();
  uint64_t gpa = 0;
  ASSERT_EQ(softcpu_translate(guest.vm, 0, 0x212345, 0, &gpa), SOFTCPU_OK);
  EXPECT_EQ(gpa, 0x212345u);
  EXPECT_EQ(softcpu_translate(guest.vm, 0, 0x40000000, 0, &gpa), SOFTCPU_E_INVALID);
  EXPECT_EQ(softcpu_translate(guest.vm, 0, 0x8000000000000000, 0, &gpa), SOFTCPU_E_INVALID);
}

TEST(SoftCpu, TellsOfPagesThatAreWrittenOnceUntilTheyAreForgotten) {
  Guest guest;
  guest.EnterLongMode();
  ASSERT_EQ(softcpu_map(guest.vm, 0x40000, 0x4000, guest.ram() + 0x40000, 15), SOFTCPU_OK);
  auto run = [&] {
    guest.Set(kRip, kCode);
    // mov al, [0x40000]; mov [0x41008], al; mov [0x41010], al; push at 0x44000; hlt
    guest.Code({0x8a, 0x04, 0x25, 0x00, 0x00, 0x04, 0x00, 0x88, 0x04, 0x25,
                0x08, 0x10, 0x04, 0x00, 0x88, 0x04, 0x25, 0x10, 0x10, 0x04,
                0x00, 0xbc, 0x00, 0x40, 0x04, 0x00, 0x50, 0xf4});
    guest.Set(0x80000005, 0);
    guest.callbacks.written.clear();
    EXPECT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
    return guest.callbacks.written;
  };
  const std::set<uint64_t> both{0x41000, 0x43000};
  EXPECT_EQ(run(), both);
  EXPECT_EQ(run(), std::set<uint64_t>());
  softcpu_forget_writes(guest.vm);
  EXPECT_EQ(run(), both);
}

TEST(SoftCpu, TheXsaveStateIsGivenAndTaken) {
  Guest guest;
  uint8_t area[SOFTCPU_XSAVE_BYTES];
  guest.Set(kXmm0, {0x1111, 0x2222});
  ASSERT_EQ(softcpu_get_xsave(guest.vm, 0, area), SOFTCPU_OK);
  auto at = [&](size_t offset) {
    uint64_t value;
    memcpy(&value, area + offset, sizeof value);
    return value;
  };
  EXPECT_EQ(at(160), 0x1111u);
  EXPECT_EQ(at(168), 0x2222u);
  EXPECT_EQ(at(512), 7u);
  const uint64_t high = 0x3333, x87_alone = 1, unknown = 8;
  memcpy(area + 576, &high, sizeof high);
  ASSERT_EQ(softcpu_set_xsave(guest.vm, 0, area), SOFTCPU_OK);
  guest.EnterLongMode();
  guest.Set(kCr4, 0x40620);
  guest.Set(0x27, 7);
  guest.Code(
      {0xc5, 0xfd, 0x7f, 0x04, 0x25, 0x00, 0x60, 0x00, 0x00, 0xf4});  // vmovdqa [0x6000], ymm0
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  EXPECT_EQ(guest.ram()[0x6000], 0x11);
  EXPECT_EQ(guest.ram()[0x6010], 0x33);

  memcpy(area + 512, &x87_alone, sizeof x87_alone);
  ASSERT_EQ(softcpu_set_xsave(guest.vm, 0, area), SOFTCPU_OK);
  EXPECT_EQ(guest.Get(kXmm0), 0u);
  EXPECT_EQ(guest.GetWide(0x1019).high & 0xffffffff, 0x1f80u);
  memcpy(area + 512, &unknown, sizeof unknown);
  EXPECT_EQ(softcpu_set_xsave(guest.vm, 0, area), SOFTCPU_E_INVALID);
}

TEST(SoftCpu, TheLocalApicIsGivenAndTaken) {
  Guest guest;
  guest.EnterLongMode();
  std::vector<uint8_t> code = EnableX2Apic();
  AppendWrmsr(&code, 0x832, 0x20000 | 0x40);  // periodic
  AppendWrmsr(&code, 0x83e, 0xb);             // undivided
  AppendWrmsr(&code, 0x838, 1000);
  code.push_back(0xf4);
  guest.Code(code);
  ASSERT_EQ(guest.Run().reason, SOFTCPU_EXIT_HALT);
  guest.callbacks.now += 300;  // ticks
  uint32_t registers[SOFTCPU_APIC_REGISTERS];
  ASSERT_EQ(softcpu_get_apic(guest.vm, 0, registers), SOFTCPU_OK);
  EXPECT_EQ(registers[0x32], 0x20040u);
  EXPECT_EQ(registers[0x38], 1000u);
  EXPECT_EQ(registers[0x39], 700u);
  EXPECT_EQ(registers[0x0f], 0x1ffu);

  Guest other;
  other.Set(0x2003, 0xfee00d00);  // APIC_BASE: x2APIC
  registers[0x22] |= 1u << 5;     // vector 0x45 is requested
  ASSERT_EQ(softcpu_set_apic(other.vm, 0, registers), SOFTCPU_OK);
  uint32_t taken[SOFTCPU_APIC_REGISTERS];
  ASSERT_EQ(softcpu_get_apic(other.vm, 0, taken), SOFTCPU_OK);
  taken[0x09] = registers[0x09];  // a priority, of what is requested
  EXPECT_EQ(memcmp(registers, taken, sizeof taken), 0);
  EXPECT_EQ(softcpu_next_timer_ns(other.vm), other.callbacks.now + 700);
  other.callbacks.now += 700;
  EXPECT_EQ(softcpu_get_apic(other.vm, 0, taken), SOFTCPU_OK);
  EXPECT_EQ(taken[0x22] >> 0 & 1, 1u);  // vector 0x40 of the timer
  Guest none(1, SOFTCPU_APIC_NONE);
  EXPECT_EQ(softcpu_get_apic(none.vm, 0, taken), SOFTCPU_E_INVALID);
}

TEST(SoftCpu, SetIsAllOrNothing) {
  Guest guest;
  uint32_t names[] = {kRax, 0x4444};
  softcpu_value values[] = {{5, 0}, {6, 0}};
  EXPECT_EQ(softcpu_set(guest.vm, 0, names, 2, values), SOFTCPU_E_REGISTER);
  EXPECT_EQ(guest.Get(kRax), 0u);
}

}  // namespace
