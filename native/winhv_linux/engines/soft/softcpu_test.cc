// SPDX-License-Identifier: LGPL-2.0-or-later
// Tiny guests through the C interface.
#include "softcpu.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <cstring>
#include <functional>
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
constexpr uint64_t kTscHz = 2'000'000'000, kApicHz = 1'000'000'000;

struct Callbacks {
  std::atomic<uint64_t> now{1'000'000};
  std::function<softcpu_answer(uint32_t, uint32_t, uint32_t*)> cpuid;
  std::function<softcpu_answer(uint32_t, uint64_t*)> read_msr;
  std::function<softcpu_answer(uint32_t, uint64_t)> write_msr;
};

// A machine with 1 MiB of memory at 0, whose processors start at kCode in real mode.
class Guest {
 public:
  explicit Guest(uint32_t cpus = 1, uint32_t apic = SOFTCPU_APIC_X2APIC) {
    ram_ = static_cast<uint8_t*>(mmap(nullptr, kMemory, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
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
    EXPECT_EQ(softcpu_create(&config, &vm), SOFTCPU_OK);
    EXPECT_EQ(softcpu_map(vm, 0, kMemory, ram_, 7), SOFTCPU_OK);
    for (uint32_t name : {kCs, kDs, kEs, kSs}) Set(name, {0, Segment(name == kCs ? 0x9b : 0x93)});
    Set(kRip, {kCode, 0});
    Set(kRsp, {0x7000, 0});
  }
  ~Guest() {
    softcpu_destroy(vm);
    munmap(ram_, kMemory);
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

}  // namespace
