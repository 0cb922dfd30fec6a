// Real machines on the soft engine: tiny guests of a few bytes, and our kernel with the agent.
#include "machine/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "machine/bz_image_fixture.h"
#include "machine/machine_scene.h"
#include "runhv_agent.h"
#include "testing/files.h"
#include "testing/slow_disk.h"

namespace runhv::machine {
namespace {

using ::testing::HasSubstr;

TEST_F(TinyGuest, PowersOffThroughTheExitPort) {
  // mov al, 1; out 0xf5, al; mov al, 2; out 0xf5, al; out 0xf4, al; jmp .
  auto machine = make_guest("\xb0\x01\xe6\xf5\xb0\x02\xe6\xf5\xe6\xf4\xeb\xfe");
  ASSERT_NE(machine, nullptr);

  const auto end = run(*machine);

  EXPECT_EQ(end, MachineEnd::kPoweredOff);
  EXPECT_EQ(exits(ExitReason::kIoPort), 3u);
  EXPECT_THAT(observer_.stages(), ::testing::ElementsAre(1, 2));
  EXPECT_GT(machine->partition_made_ns(), 0u);
  EXPECT_EQ(machine->engine_name(), "soft");
}

TEST_F(TinyGuest, EntersABzImageInItsHeadersWords) {
  // lea rax, [rip - 7]; cmp eax, 0x200200; jne .; cmp dword [rsi + 0x202], "HdrS"; jne .;
  // out 0xf4, al; jmp .
  constexpr std::string_view kCode(
      "\x48\x8d\x05\xf9\xff\xff\xff\x3d\x00\x02\x20\x00\x75\xfe"
      "\x81\xbe\x02\x02\x00\x00HdrS\x75\xfe\xe6\xf4\xeb\xfe",
      30);
  ASSERT_TRUE(testing::write_file(path_, BzImageFixture{.content = kCode}.build()));
  auto guest = config(path_);
  guest.memory_bytes = MachineLimits::kMinMemoryBytes;
  auto machine = make(std::move(guest));
  ASSERT_NE(machine, nullptr);

  const auto end = run(*machine);

  EXPECT_EQ(end, MachineEnd::kPoweredOff);
  EXPECT_EQ(machine->kernel_name(), "6.1.0-9-test");
}

TEST_F(TinyGuest, EndsWithATripleFaultAndSaysWhere) {
  auto machine = make_guest("\x0f\x0b");  // ud2, without an interrupt table
  ASSERT_NE(machine, nullptr);

  const auto end = run(*machine);

  EXPECT_EQ(end, MachineEnd::kTripleFault);
  EXPECT_EQ(machine->error().code, Code::kGuestFailed);
  EXPECT_EQ(
      to_string(machine->error()),
      "run the guest: triple fault at RIP 0x200000: so ends a kernel that panics; --debug shows "
      "what it says");
}

TEST_F(TinyGuest, ReadsOnesWhereNoDeviceIs) {
  // mov eax, [0x3ff00000]; inc eax; jnz +2; out 0xf4, al; jmp .
  auto machine = make_guest(
      std::string_view("\x8b\x04\x25\x00\x00\xf0\x3f\xff\xc0\x75\x02\xe6\xf4\xeb\xfe", 15));
  ASSERT_NE(machine, nullptr);

  const auto end = run(*machine);

  EXPECT_EQ(end, MachineEnd::kPoweredOff);
  EXPECT_EQ(exits(ExitReason::kMmio), 1u);
}

TEST_F(TinyGuest, EndsWhenItExecutesWhereNoMemoryIs) {
  // mov eax, 0x3ff00000; jmp rax
  auto machine = make_guest(std::string_view("\xb8\x00\x00\xf0\x3f\xff\xe0", 7));
  ASSERT_NE(machine, nullptr);

  const auto end = run(*machine);

  EXPECT_EQ(end, MachineEnd::kGuestStuck);
  EXPECT_EQ(machine->error().code, Code::kGuestFailed);
}

TEST_F(TinyGuest, EndsWithAnInstructionThatNoDeviceServes) {
  // cmpxchg [0x3ff00000], eax
  auto machine = make_guest(std::string_view("\x0f\xb1\x04\x25\x00\x00\xf0\x3f", 8));
  ASSERT_NE(machine, nullptr);

  const auto end = run(*machine);

  EXPECT_EQ(end, MachineEnd::kGuestStuck);
  EXPECT_THAT(to_string(machine->error()), HasSubstr("access to 0x3ff00000"));
}

// RAM ends at 24 MiB (0x1800000); behind it is nothing.
TEST_F(TinyGuest, ReadsRamAndOnesAcrossTheEndOfRam) {
  // mov dword [0x17ffffc], 0x44332211; mov rax, [0x17ffffd]; mov rcx, 0xffffffffff443322;
  // cmp rax, rcx; jne +2; out 0xf4, al; jmp .
  auto machine =
      make_guest(std::string_view("\xc7\x04\x25\xfc\xff\x7f\x01\x11\x22\x33\x44"
                                  "\x48\x8b\x04\x25\xfd\xff\x7f\x01"
                                  "\x48\xb9\x22\x33\x44\xff\xff\xff\xff\xff"
                                  "\x48\x39\xc8\x75\x02\xe6\xf4\xeb\xfe",
                                  38));
  ASSERT_NE(machine, nullptr);

  EXPECT_EQ(run(*machine), MachineEnd::kPoweredOff);
  EXPECT_EQ(exits(ExitReason::kMmio), 1u);
}

TEST_F(TinyGuest, WritesRamAcrossTheEndOfRamAndDropsTheRest) {
  // mov rbx, 0x17fffff; mov eax, 0x44332211; mov [rbx], eax; cmp byte [rbx], 0x11; jne +2;
  // out 0xf4, al; jmp .
  auto machine =
      make_guest(std::string_view("\x48\xc7\xc3\xff\xff\x7f\x01\xb8\x11\x22\x33\x44"
                                  "\x89\x03\x80\x3b\x11\x75\x02\xe6\xf4\xeb\xfe",
                                  23));
  ASSERT_NE(machine, nullptr);

  EXPECT_EQ(run(*machine), MachineEnd::kPoweredOff);
  EXPECT_EQ(exits(ExitReason::kMmio), 1u);
}

TEST_F(TinyGuest, AnAddressAtTheStartOfAPageIsOneAccess) {
  // mov eax, [0x1800000]; inc eax; jnz +2; out 0xf4, al; jmp .
  auto machine = make_guest(
      std::string_view("\x8b\x04\x25\x00\x00\x80\x01\xff\xc0\x75\x02\xe6\xf4\xeb\xfe", 15));
  ASSERT_NE(machine, nullptr);

  EXPECT_EQ(run(*machine), MachineEnd::kPoweredOff);
}

// A guest's page tables may put a device's registers behind any page of RAM.
TEST_F(TinyGuest, ReadsRamAndADeviceAcrossTheirPages) {
  // The tables of the entry map 2 MiB pages from 0xb000 on. Page 4 (8 MiB) gets a table at
  // 0x600000: its page 0 is RAM at 0x700000, its page 1 the I/O APIC. mov qword [0x600000],
  // 0x700003; mov eax, 0xfec00003; mov [0x600008], rax; mov qword [0xb020], 0x600003; mov rax, cr3;
  // mov cr3, rax; mov byte [0x700fff], 0x5a; mov dword [0x801000], 1 (IOREGSEL: version); mov eax,
  // [0x800fff]; cmp al, 0x5a; jne +2; out 0xf4, al; jmp .
  auto machine =
      make_guest(std::string_view("\x48\xc7\x04\x25\x00\x00\x60\x00\x03\x00\x70\x00"
                                  "\xb8\x03\x00\xc0\xfe\x48\x89\x04\x25\x08\x00\x60\x00"
                                  "\x48\xc7\x04\x25\x20\xb0\x00\x00\x03\x00\x60\x00"
                                  "\x0f\x20\xd8\x0f\x22\xd8"
                                  "\xc6\x04\x25\xff\x0f\x70\x00\x5a"
                                  "\xc7\x04\x25\x00\x10\x80\x00\x01\x00\x00\x00"
                                  "\x8b\x04\x25\xff\x0f\x80\x00"
                                  "\x3c\x5a\x75\x02\xe6\xf4\xeb\xfe",
                                  77));
  ASSERT_NE(machine, nullptr);

  EXPECT_EQ(run(*machine), MachineEnd::kPoweredOff);
  EXPECT_EQ(exits(ExitReason::kMmio), 2u);
}

TEST_F(TinyGuest, StopsWhileItSpins) {
  auto machine = make_guest(kSayAgent + std::string(kSpin));
  ASSERT_NE(machine, nullptr);
  ASSERT_TRUE(machine->start());
  ASSERT_TRUE(observer_.wait_for_stages(1));

  machine->stop();
  machine->stop();

  EXPECT_EQ(end_of(*machine), MachineEnd::kStopped);
}

TEST_F(TinyGuest, StopsWhileEveryProcessorIsHalted) {
  auto machine = make_guest(kSayAgent + "\xfa\xf4\xeb\xfd", 2);  // cli; hlt; jmp hlt
  ASSERT_NE(machine, nullptr);
  ASSERT_TRUE(machine->start());
  ASSERT_TRUE(observer_.wait_for_stages(1));

  machine->stop();

  EXPECT_EQ(end_of(*machine), MachineEnd::kStopped);
}

TEST_F(TinyGuest, CanBeStoppedBeforeItStarts) {
  auto machine = make_guest(kSpin);
  ASSERT_NE(machine, nullptr);

  machine->stop();

  const auto started = machine->start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::kConflict);
  machine.reset();
  EXPECT_EQ(observer_.ends(), 0);
}

TEST_F(TinyGuest, StartsOnce) {
  auto machine = make_guest(kSpin);
  ASSERT_NE(machine, nullptr);
  ASSERT_TRUE(machine->start());

  const auto again = machine->start();

  ASSERT_FALSE(again);
  EXPECT_EQ(to_string(again.error()), "start the machine: it was started before");
}

// Nothing of these guests' doing lets them notice: mov al, 1; out 0xf5, al; jmp back.
const std::string kSayForEver = "\xb0\x01\xe6\xf5\xeb\xfa";

class PausedGuest : public TinyGuest {
 protected:
  // Nothing runs between two looks, however far apart they are: the processors are at their gate.
  void expect_standstill() {
    const std::uint64_t instructions_before = instructions();
    const std::uint64_t exits_before = all_exits();
    std::this_thread::yield();
    EXPECT_EQ(instructions(), instructions_before);
    EXPECT_EQ(all_exits(), exits_before);
  }
};

TEST_F(PausedGuest, StandsStillAndGoesOn) {
  for (const std::uint32_t processors : {1u, 2u}) {
    auto machine = make_guest(kSayForEver, processors);
    ASSERT_NE(machine, nullptr);
    ASSERT_TRUE(machine->start());
    for (int round = 0; round < 20; ++round) {
      ASSERT_TRUE(observer_.wait_for_stages(observer_.stages().size() + 1));
      ASSERT_TRUE(machine->pause());
      expect_standstill();
      ASSERT_TRUE(machine->resume());
    }
    const std::size_t said = observer_.stages().size();
    EXPECT_TRUE(observer_.wait_for_stages(said + 1));
  }
}

TEST_F(PausedGuest, StandsStillWhileItSpinsWithoutAnExit) {
  auto machine = make_guest(kSayAgent + std::string(kSpin));
  ASSERT_NE(machine, nullptr);
  ASSERT_TRUE(machine->start());
  ASSERT_TRUE(observer_.wait_for_stages(1));

  ASSERT_TRUE(machine->pause());

  expect_standstill();
  EXPECT_EQ(observer_.ends(), 0);
}

TEST_F(PausedGuest, MayBeHalted) {
  auto machine = make_guest(kSayAgent + "\xfa\xf4\xeb\xfd", 2);  // cli; hlt; jmp hlt
  ASSERT_NE(machine, nullptr);
  ASSERT_TRUE(machine->start());
  ASSERT_TRUE(observer_.wait_for_stages(1));

  ASSERT_TRUE(machine->pause());
  expect_standstill();
  ASSERT_TRUE(machine->resume());
  ASSERT_TRUE(machine->pause());
  machine->stop();

  EXPECT_EQ(end_of(*machine), MachineEnd::kStopped);
}

TEST_F(PausedGuest, StopsAtItsGate) {
  auto machine = make_guest(kSayForEver, 2);
  ASSERT_NE(machine, nullptr);
  ASSERT_TRUE(machine->start());
  ASSERT_TRUE(machine->pause());

  machine->stop();

  EXPECT_EQ(end_of(*machine), MachineEnd::kStopped);
  EXPECT_EQ(observer_.ends(), 1);
  EXPECT_TRUE(machine->resume()) << "for its devices";
  EXPECT_FALSE(machine->pause());
}

TEST_F(PausedGuest, IsDestroyedAtItsGate) {
  auto machine = make_guest(kSayForEver, 2);
  ASSERT_NE(machine, nullptr);
  ASSERT_TRUE(machine->start());
  ASSERT_TRUE(machine->pause());

  machine.reset();

  EXPECT_EQ(observer_.ends(), 1);
}

TEST_F(PausedGuest, HasOneStateAtATime) {
  const auto text = [](const Result<void>& result) {
    return result ? std::string("done") : to_string(result.error());
  };
  auto machine = make_guest("\xe6\xf4\xeb\xfe");  // out 0xf4, al; jmp .
  ASSERT_NE(machine, nullptr);
  EXPECT_EQ(text(machine->pause()), "pause the machine: it does not run");
  EXPECT_EQ(text(machine->resume()), "resume the machine: it is not paused");
  ASSERT_EQ(run(*machine), MachineEnd::kPoweredOff);

  EXPECT_EQ(text(machine->pause()), "pause the machine: it has ended");
  EXPECT_EQ(text(machine->resume()), "resume the machine: it is not paused");
}

TEST_F(PausedGuest, IsPausedOnce) {
  auto machine = make_guest(kSayForEver);
  ASSERT_NE(machine, nullptr);
  ASSERT_TRUE(machine->start());
  ASSERT_TRUE(machine->pause());

  const auto again = machine->pause();

  ASSERT_FALSE(again);
  EXPECT_EQ(to_string(again.error()), "pause the machine: it is paused");
}

TEST_F(TinyGuest, CanBeDestroyedWhileItSpins) {
  auto machine = make_guest(kSpin, 4);
  ASSERT_NE(machine, nullptr);
  ASSERT_TRUE(machine->start());

  machine.reset();

  EXPECT_EQ(observer_.ends(), 1);
}

TEST_F(TinyGuest, NamesTheFieldThatCannotBe) {
  ASSERT_TRUE(testing::write_file(path_, ElfFixture{}.build()));
  const auto error_of = [&](auto change) {
    auto bad = config(path_);
    change(bad);
    const auto machine = Machine::create(std::move(bad));
    return machine ? std::string("no error") : to_string(machine.error());
  };

  EXPECT_EQ(error_of([](MachineConfig& c) { c.memory_bytes = 4u << 20; }),
            "give the machine a memory of 4 MiB: 24 MiB to 524288 MiB are possible");
  EXPECT_EQ(error_of([](MachineConfig& c) { c.processor_count = 0; }),
            "give the machine 0 cpus: 1 to 64 are possible");
  EXPECT_EQ(error_of([](MachineConfig& c) { c.processor_count = 1000; }),
            "give the machine 1000 cpus: 1 to 64 are possible");
  EXPECT_THAT(error_of([](MachineConfig& c) { c.engine = "warp"; }), HasSubstr("soft, kvm, whp"));
  EXPECT_THAT(
      error_of([](MachineConfig& c) { c.kernel_path = "/etc/passwd"; }),
      HasSubstr("load kernel /etc/passwd: it is neither a bzImage nor an x86-64 ELF image"));
}

// The host's end of the agent's control connection: takes HELLO, answers with POWER_OFF.
class HelloService final : public devices::VsockService {
 public:
  std::unique_ptr<devices::VsockEndpoint> accept(devices::VsockConnectionId, std::uint32_t,
                                                 std::uint32_t host_port) override {
    if (host_port != RUNHV_CONTROL_PORT) return nullptr;
    return std::make_unique<Endpoint>(*this);
  }

  std::vector<std::byte> received() {
    const std::lock_guard lock(mutex_);
    return received_;
  }

 private:
  static constexpr std::size_t kHelloBytes = sizeof(runhv_frame) + sizeof(runhv_hello);

  class Endpoint final : public devices::VsockEndpoint {
   public:
    explicit Endpoint(HelloService& service) : service_(service) {}
    std::size_t receive(std::span<const std::byte> data) override {
      const std::lock_guard lock(service_.mutex_);
      service_.received_.insert(service_.received_.end(), data.begin(), data.end());
      answer_ = service_.received_.size() >= kHelloBytes;
      return data.size();
    }
    std::size_t send(std::span<std::byte> out) override {
      if (!answer_ || out.size() < sizeof(runhv_frame)) return 0;
      answer_ = false;
      std::array<std::byte, sizeof(runhv_frame)> frame{};
      store_le<std::uint16_t>(frame, 4, RUNHV_MSG_POWER_OFF);
      std::ranges::copy(frame, out.begin());
      return frame.size();
    }
    bool send_finished() const override { return false; }
    bool closed() const override { return false; }
    void on_guest_finished() override {}
    void on_disconnect() override {}

   private:
    HelloService& service_;
    bool answer_ = false;
  };

  std::mutex mutex_;
  std::vector<std::byte> received_;
};

class LinuxGuest : public MachineOnSoft {
 protected:
  void SetUp() override {
    MachineOnSoft::SetUp();
    expect_file(RUNHV_TEST_KERNEL, "RUNHV_KERNEL");
    expect_file(RUNHV_TEST_INITRD, "RUNHV_INITRD");
  }

  MachineConfig with_agent() {
    auto guest = config(RUNHV_TEST_KERNEL);
    guest.initrd_paths = {RUNHV_TEST_INITRD};
    guest.vsock = &service_;
    return guest;
  }

  void expect_hello(Machine& machine) {
    ASSERT_TRUE(machine.start());
    const auto end = end_of(machine);
    ASSERT_EQ(end, MachineEnd::kPoweredOff) << to_string(machine.error());
    const auto bytes = service_.received();
    ASSERT_EQ(bytes.size(), sizeof(runhv_frame) + sizeof(runhv_hello));
    const std::span<const std::byte> hello(bytes);
    EXPECT_EQ(load_le<std::uint32_t>(hello, 0), sizeof(runhv_hello));
    EXPECT_EQ(load_le<std::uint16_t>(hello, 4), RUNHV_MSG_HELLO);
    EXPECT_EQ(load_le<std::uint32_t>(hello, 8), RUNHV_PROTO_MAGIC);
    EXPECT_EQ(load_le<std::uint16_t>(hello, 12), RUNHV_PROTO_VERSION);
  }

  HelloService service_;
};

TEST_F(LinuxGuest, AgentSaysHelloWithinTheBudget) {
  auto machine = make(with_agent());
  ASSERT_NE(machine, nullptr);

  expect_hello(*machine);

  EXPECT_LE(instructions(), 15'000'000u);
  EXPECT_LE(all_exits(), 200u);
  EXPECT_EQ(machine->kernel_name().substr(0, 2), "6.");
  EXPECT_GT(machine->guest_memory_resident_bytes(), 8u << 20);
}

TEST_F(LinuxGuest, StartsFourProcessors) {
  auto guest = with_agent();
  guest.processor_count = 4;
  auto machine = make(std::move(guest));
  ASSERT_NE(machine, nullptr);

  expect_hello(*machine);
}

TEST_F(LinuxGuest, HasMemoryOnBothSidesOfTheDevices) {
  auto guest = with_agent();
  guest.memory_bytes = 3584ull << 20;
  auto machine = make(std::move(guest));
  ASSERT_NE(machine, nullptr);

  expect_hello(*machine);
  const auto low = machine->guest_memory(0);
  const auto high = machine->guest_memory(1);
  ASSERT_TRUE(low && high);
  EXPECT_EQ(low->first.value, 0u);
  EXPECT_EQ(low->bytes.size(), 3ull << 30);
  EXPECT_EQ(high->first.value, 4ull << 30);
  EXPECT_EQ(high->bytes.size(), 512ull << 20);
  EXPECT_FALSE(machine->guest_memory(2));
}

TEST_F(LinuxGuest, BootsInTheLeastMemory) {
  auto guest = with_agent();
  guest.memory_bytes = MachineLimits::kMinMemoryBytes;
  auto machine = make(std::move(guest));
  ASSERT_NE(machine, nullptr);

  expect_hello(*machine);
}

// The kernel mounts its root, and never gets an answer.
class GuestOfAHangingDisk : public LinuxGuest {
 protected:
  std::unique_ptr<Machine> started() {
    auto guest = config(RUNHV_TEST_KERNEL);
    guest.extra_command_line = "root=/dev/vda rootfstype=erofs";
    guest.disks.emplace_back(disk_, true);
    auto machine = make(std::move(guest));
    if (machine == nullptr || !machine->start()) return nullptr;
    disk_->wait_for_calls(1);
    return machine;
  }
  const std::shared_ptr<testing::SlowDisk> disk_ = std::make_shared<testing::SlowDisk>(1 << 20);
};

TEST_F(GuestOfAHangingDisk, Stops) {
  auto machine = started();
  ASSERT_NE(machine, nullptr);

  machine->stop();

  EXPECT_EQ(end_of(*machine), MachineEnd::kStopped);
  machine.reset();
  disk_->let_go();
}

TEST_F(GuestOfAHangingDisk, IsNotPausedAndGoesOn) {
  auto machine = started();
  ASSERT_NE(machine, nullptr);

  const auto paused = machine->pause();

  ASSERT_FALSE(paused);
  EXPECT_EQ(to_string(paused.error()), "pause the machine: a disk of the host does not answer");
  disk_->let_go();
  EXPECT_EQ(end_of(*machine), MachineEnd::kTripleFault) << "it runs: zeros are no root";
}

// The kernel mounts its root, and never gets an answer.
TEST_F(LinuxGuest, StopsThoughADiskHangs) {
  const auto disk = std::make_shared<testing::SlowDisk>(1 << 20);
  auto guest = config(RUNHV_TEST_KERNEL);
  guest.extra_command_line = "root=/dev/vda rootfstype=erofs";
  guest.disks.emplace_back(disk, true);
  auto machine = make(std::move(guest));
  ASSERT_NE(machine, nullptr);
  ASSERT_TRUE(machine->start());
  disk->wait_for_calls(1);

  machine->stop();

  EXPECT_EQ(end_of(*machine), MachineEnd::kStopped);
  machine.reset();
  disk->let_go();
}

TEST_F(LinuxGuest, PanicEndsTheMachine) {
  auto machine = make(config(RUNHV_TEST_KERNEL));  // no initrd, no root
  ASSERT_NE(machine, nullptr);
  ASSERT_TRUE(machine->start());

  const auto end = end_of(*machine);

  EXPECT_EQ(end, MachineEnd::kTripleFault);
  EXPECT_EQ(machine->error().code, Code::kGuestFailed);
}

TEST_F(LinuxGuest, StopsInTheMiddleOfABoot) {
  auto machine = make(with_agent());
  ASSERT_NE(machine, nullptr);
  ASSERT_TRUE(machine->start());

  machine->stop();

  EXPECT_EQ(end_of(*machine), MachineEnd::kStopped);
}

}  // namespace
}  // namespace runhv::machine
