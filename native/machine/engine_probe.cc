#include "machine/engine_probe.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <variant>

#include "hv/partition.h"
#include "hv/whp_library.h"
#include "machine/machine.h"
#include "machine/processor_counts.h"
#include "platform/clock.h"
#include "platform/memory_region.h"
#include "platform/thread.h"
#include "runhv_agent.h"

namespace runhv::machine {
namespace {

// A few instructions take microseconds on every engine.
constexpr std::chrono::seconds kGuestPatience(5);
// Ours boots in 0.1 s on the software CPU of an idle host.
constexpr std::chrono::seconds kKernelPatience(60);

// Told once, waited for with a limit.
class Once {
 public:
  void tell() {
    const std::lock_guard lock(mutex_);
    told_ = true;
    changed_.notify_all();
  }
  bool wait_for(std::chrono::seconds limit) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [&] { return told_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool told_ = false;
};

// --- one page ------------------------------------------------------------------------------------

constexpr std::size_t kPageBytes = 4096;
constexpr std::uint16_t kPort = 0xf4;
constexpr std::uint8_t kValue = 0x2a;
constexpr std::array<std::uint8_t, 6> kCode{0xb0, kValue,  // mov al, kValue
                                            0x90,          // nop
                                            0xe6, kPort,   // out kPort, al
                                            0xf4};         // hlt

// Of a processor in real mode (SDM Vol.3 §10.1.4), but at address 0.
Result<void> enter_page(hv::VirtualProcessor& processor) {
  using hv::Register;
  using hv::RegisterValue;
  constexpr hv::SegmentRegister kCodeSegment{0, 0xffff, 0, 0x009b};
  constexpr hv::SegmentRegister kDataSegment{0, 0xffff, 0, 0x0093};
  return processor.write({{Register::kRip, RegisterValue::of(0)},
                          {Register::kRflags, RegisterValue::of(2)},
                          {Register::kCs, RegisterValue::segment(kCodeSegment)},
                          {Register::kDs, RegisterValue::segment(kDataSegment)},
                          {Register::kEs, RegisterValue::segment(kDataSegment)},
                          {Register::kSs, RegisterValue::segment(kDataSegment)}});
}

Result<hv::Exit> run_with_limit(hv::VirtualProcessor& processor) {
  Once done;
  bool in_time = true;
  RUNHV_TRY_ASSIGN(platform::Thread watch, platform::Thread::start("watch", [&] {
                     in_time = done.wait_for(kGuestPatience);
                     if (!in_time) processor.cancel();
                   }));
  auto exit = processor.run();
  while (exit && std::holds_alternative<hv::SpuriousExit>(exit->reason)) exit = processor.run();
  done.tell();
  watch.join();
  if (exit && !in_time) {
    return Fail{Error{Code::kTimedOut, "run a guest of one page",
                      "its first instructions did not end within " +
                          std::to_string(kGuestPatience.count()) + " s"}};
  }
  return exit;
}

Result<void> run_page(hv::Partition& partition) {
  hv::VirtualProcessor& processor = partition.processor(0);
  RUNHV_TRY(enter_page(processor));
  RUNHV_TRY_ASSIGN(const hv::Exit exit, run_with_limit(processor));
  const auto* out = std::get_if<hv::PortExit>(&exit.reason);
  if (out != nullptr && out->port == kPort && out->is_write &&
      static_cast<std::uint8_t>(out->rax) == kValue) {
    return {};
  }
  return Fail{Error{Code::kHostFailed, "run a guest of one page",
                    "it ended by another exit (" + std::to_string(exit.reason.index()) +
                        ") than its own: this hypervisor does not run guests as it should"}};
}

// --- the kernel ----------------------------------------------------------------------------------

class UntilAgent final : public MachineObserver {
 public:
  void on_stage(std::uint8_t stage) override {
    if (stage != RUNHV_STAGE_PORT_AGENT) return;
    agent_came_ = true;
    told_.tell();
  }
  void on_ended() override { told_.tell(); }

  // False where neither came in time.
  bool wait() { return told_.wait_for(kKernelPatience); }
  bool agent_came() const { return agent_came_; }

 private:
  Once told_;
  std::atomic<bool> agent_came_ = false;
};

Result<void> boot_kernel(const EngineProbe& probe) {
  std::array<ProcessorCounts, 1> counts;
  UntilAgent observer;
  MachineConfig config;
  config.engine = probe.engine;
  config.kernel_path = probe.kernel_path;
  config.initrd_paths = probe.initrd_paths;
  config.observer = &observer;
  config.counts = counts;
  RUNHV_TRY_ASSIGN(const std::unique_ptr<Machine> machine, Machine::create(std::move(config)));
  RUNHV_TRY(machine->start());
  if (!observer.wait()) {
    return Fail{Error{
        Code::kTimedOut, "boot " + probe.kernel_path,
        "its agent did not come up within " + std::to_string(kKernelPatience.count()) + " s"}};
  }
  return observer.agent_came() ? Result<void>() : Fail{machine->error()};
}

}  // namespace

Result<void> probe_engine(const EngineProbe& probe, const OnProbeStage& on_stage) {
  std::uint64_t begun_ns = platform::monotonic_ns();
  const char* const* stage = kProbeStages;
  const auto done = [&] {
    const std::uint64_t now = platform::monotonic_ns();
    on_stage(*stage++, now - std::exchange(begun_ns, now));
  };
  {
    RUNHV_TRY_ASSIGN(const auto library, hv::WhpLibrary::open(probe.engine));
    done();
    RUNHV_TRY_ASSIGN(platform::MemoryRegion page, platform::MemoryRegion::reserve(kPageBytes));
    std::ranges::copy(std::as_bytes(std::span(kCode)), page.bytes().begin());
    RUNHV_TRY_ASSIGN(const auto partition, hv::Partition::create(*library, 1));
    RUNHV_TRY(partition->map(Gpa{0}, page.bytes()));
    done();
    RUNHV_TRY(run_page(*partition));
    done();
  }
  RUNHV_TRY(boot_kernel(probe));
  done();
  return {};
}

}  // namespace runhv::machine
