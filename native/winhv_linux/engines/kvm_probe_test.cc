#include <memory>

#include "gtest/gtest.h"
#include "platform/clock.h"
#include "winhv_linux/engines/kvm_engine.h"

namespace runhv::winhv_linux {
namespace {

// A machine whose guest comes to its end in one run, which costs so much of the thread's time.
class OneRun final : public EngineVm {
 public:
  OneRun(std::uint64_t cost_ns, UINT16 port, int& runs)
      : cost_ns_(cost_ns), port_(port), runs_(runs) {}

  HRESULT run(UINT32, OnHalt, EngineExit& exit) override {
    ++runs_;
    const std::uint64_t begin = platform::thread_time_ns();
    while (platform::thread_time_ns() - begin < cost_ns_) continue;
    exit.reason = EngineExitReason::kPort;
    exit.address = port_;
    return S_OK;
  }

  HRESULT map(UINT64, const GpaRange&) override { return S_OK; }
  HRESULT unmap(UINT64, UINT64) override { return S_OK; }
  HRESULT memory_written(UINT64, UINT64) override { return S_OK; }
  HRESULT take_dirty(UINT64, UINT64, std::span<UINT64>) override { return S_OK; }
  void cancel(UINT32) override {}  // it comes too late
  HRESULT request_interrupt(const WHV_INTERRUPT_CONTROL&) override { return S_OK; }
  HRESULT get_registers(UINT32, std::span<const WHV_REGISTER_NAME>, WHV_REGISTER_VALUE*) override {
    return S_OK;
  }
  HRESULT set_registers(UINT32, std::span<const WHV_REGISTER_NAME>,
                        const WHV_REGISTER_VALUE*) override {
    return S_OK;
  }
  HRESULT get_xsave(UINT32, std::span<std::byte>) override { return S_OK; }
  HRESULT set_xsave(UINT32, std::span<const std::byte>) override { return S_OK; }
  HRESULT get_apic(UINT32, ApicRegisters&) override { return S_OK; }
  HRESULT set_apic(UINT32, const ApicRegisters&) override { return S_OK; }
  bool translate(UINT32, UINT64, WHV_MEMORY_ACCESS_TYPE, UINT64&) override { return false; }

 private:
  const std::uint64_t cost_ns_;
  const UINT16 port_;
  int& runs_;
};

class OneRunEngine final : public Engine {
 public:
  explicit OneRunEngine(std::uint64_t cost_ns, UINT16 port = 0x80)
      : cost_ns_(cost_ns), port_(port) {}

  const Capabilities& capabilities() const override { return capabilities_; }
  const XsaveLayout& xsave() const override { return xsave_; }
  HRESULT create_vm(const VmShape&, CpuAnswers&, DirtyPages&,
                    std::unique_ptr<EngineVm>& vm) const override {
    vm = std::make_unique<OneRun>(cost_ns_, port_, runs);
    return S_OK;
  }

  mutable int runs = 0;

 private:
  const std::uint64_t cost_ns_;
  const UINT16 port_;
  const Capabilities capabilities_{};
  const XsaveLayout xsave_{{}};
};

TEST(ProbeEngine, TakesOneThatIsQuick) {
  const OneRunEngine engine(0);
  const auto took_ns = probe_engine(engine);
  ASSERT_TRUE(took_ns) << to_string(took_ns.error());
  EXPECT_EQ(engine.runs, 1);
}

// On a busy host nobody cancels it in time.
TEST(ProbeEngine, TakesNoneThatEmulatesThoughItsGuestComesToItsEnd) {
  const OneRunEngine engine(2'000'000);
  const auto took_ns = probe_engine(engine);
  ASSERT_FALSE(took_ns);
  EXPECT_EQ(took_ns.error().code, Code::kTimedOut);
  EXPECT_EQ(engine.runs, 3);
}

TEST(ProbeEngine, TakesNoneWhoseGuestGoesAstray) {
  const OneRunEngine engine(0, 0x81);
  const auto took_ns = probe_engine(engine);
  ASSERT_FALSE(took_ns);
  EXPECT_EQ(took_ns.error().code, Code::kHypervisorAbsent);
}

}  // namespace
}  // namespace runhv::winhv_linux
