// Random calls of the exported functions: whatever a client gets wrong is an HRESULT. Over an
// engine that executes nothing, whose exits are the input's as well.
#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "base/check.h"
#include "testing/fuzz.h"
#include "whpapi/runhv_extensions.h"
#include "whpapi/whp.h"
#include "winhv_linux/engine.h"
#include "winhv_linux/engines/selection.h"

namespace runhv::winhv_linux {
namespace {

constexpr std::size_t kMemoryBytes = 16 * 4096;
alignas(4096) std::array<std::byte, kMemoryBytes> memory;

constexpr UINT32 kXsaveBytes = 960;  // with a hole in front of its last component

testing::FuzzInput* input_of_exits = nullptr;

// Runs nothing: the next exit is what the input says, and asks the partition what a guest would
// ask.
class FuzzVm final : public EngineVm {
 public:
  FuzzVm(CpuAnswers& answers, DirtyPages& dirty_pages)
      : answers_(answers), dirty_pages_(dirty_pages) {}

  HRESULT map(UINT64, const GpaRange&) override { return S_OK; }
  HRESULT unmap(UINT64, UINT64) override { return S_OK; }
  HRESULT memory_written(UINT64, UINT64) override { return S_OK; }
  HRESULT take_dirty(UINT64 gpa, UINT64 size, std::span<UINT64> bitmap) override {
    dirty_pages_.take(gpa, size, bitmap);
    return S_OK;
  }
  HRESULT run(UINT32 index, OnHalt, EngineExit& exit) override {
    exit = {};
    if (canceled_[index]) {
      canceled_[index] = false;
      return S_OK;
    }
    ask(index);
    const std::uint32_t reason =
        input_of_exits->below(static_cast<std::uint32_t>(EngineExitReason::kCanceled));
    exit.reason = static_cast<EngineExitReason>(reason);
    exit.instruction_length = input_of_exits->byte();
    exit.instruction_bytes = input_of_exits->byte();
    exit.address = input_of_exits->take<std::uint64_t>();
    exit.size = input_of_exits->byte();
    exit.vector = exit.size;
    exit.parameter = exit.address;
    return S_OK;
  }
  void cancel(UINT32 index) override { canceled_[index] = true; }
  HRESULT request_interrupt(const WHV_INTERRUPT_CONTROL&) override { return S_OK; }
  HRESULT get_registers(UINT32, std::span<const WHV_REGISTER_NAME> names,
                        WHV_REGISTER_VALUE* values) override {
    for (const auto name : names) *values++ = registers_[name];
    return S_OK;
  }
  HRESULT set_registers(UINT32, std::span<const WHV_REGISTER_NAME> names,
                        const WHV_REGISTER_VALUE* values) override {
    for (const auto name : names) registers_[name] = *values++;
    return S_OK;
  }
  HRESULT get_xsave(UINT32, std::span<std::byte> area) override {
    std::ranges::copy(std::span(xsave_).first(area.size()), area.begin());
    return S_OK;
  }
  HRESULT set_xsave(UINT32, std::span<const std::byte> area) override {
    std::ranges::copy(area, xsave_.begin());
    return S_OK;
  }
  HRESULT get_apic(UINT32, ApicRegisters& registers) override {
    registers = apic_;
    return S_OK;
  }
  HRESULT set_apic(UINT32, const ApicRegisters& registers) override {
    apic_ = registers;
    return S_OK;
  }
  bool translate(UINT32, UINT64 gva, WHV_MEMORY_ACCESS_TYPE, UINT64& gpa) override {
    gpa = gva;
    return (gva & 1) == 0;
  }

 private:
  void ask(UINT32 vp) {
    std::array<UINT32, 4> words{};
    UINT64 value = input_of_exits->take<std::uint64_t>();
    const auto number = input_of_exits->take<std::uint32_t>();
    answers_.cpuid(vp, number, 0, words);
    answers_.write_msr(vp, number, value);
    answers_.read_msr(vp, number, value);
    (void)answers_.exception_exits(number % 32);
    dirty_pages_.mark(value & (kMemoryBytes - 1));
  }

  CpuAnswers& answers_;
  DirtyPages& dirty_pages_;
  std::array<std::byte, kXsaveBytes> xsave_{};
  ApicRegisters apic_{};
  std::array<bool, kMaxProcessors> canceled_{};
  std::map<WHV_REGISTER_NAME, WHV_REGISTER_VALUE> registers_;
};

class FuzzEngine final : public Engine {
 public:
  const Capabilities& capabilities() const override { return capabilities_; }
  const XsaveLayout& xsave() const override { return xsave_; }
  HRESULT create_vm(const VmShape& shape, CpuAnswers& answers, DirtyPages& dirty_pages,
                    std::unique_ptr<EngineVm>& vm) const override {
    RUNHV_CHECK(shape.processor_count >= 1 && shape.processor_count <= kMaxProcessors);
    vm = std::make_unique<FuzzVm>(answers, dirty_pages);
    return S_OK;
  }

 private:
  const XsaveLayout xsave_{{{2, 256, 576, false}, {9, 8, kXsaveBytes - 8, true}}};
  const Capabilities capabilities_{.features = ~UINT64{0},
                                   .extended_vm_exits = ~UINT64{0},
                                   .exception_exits = ~UINT64{0},
                                   .x64_msr_exits = ~UINT64{0},
                                   .synthetic_features = ~UINT64{0},
                                   .processor_features = {~UINT64{0}, ~UINT64{0}},
                                   .xsave_features = ~UINT64{0},
                                   .tsc_hz = 1'000'000'000,
                                   .apic_hz = 200'000'000,
                                   .physical_address_width = 40,
                                   .time_stops = true};
};

class Client {
 public:
  explicit Client(testing::FuzzInput& input) : input_(input) {}
  ~Client() {
    for (const WHV_PARTITION_HANDLE handle : handles_) WHvDeletePartition(handle);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Draws everything before it calls: the order in which arguments are evaluated is the compiler's.
  void call() {
    const std::uint32_t which = input_.below(25);
    const WHV_PARTITION_HANDLE handle = draw_handle();
    const UINT32 vp = draw_processor();
    const UINT64 gpa = draw_address();
    const UINT64 bytes = draw_address();
    // Never more than there is: a size that lies is the client's own fault.
    const UINT32 size = input_.below(kBufferBytes + 1);
    const UINT32 code = draw_code();
    const UINT32 flags = input_.byte();
    const UINT32 rarely = flags % 8 == 0;
    const auto property = static_cast<WHV_PARTITION_PROPERTY_CODE>(code);
    switch (which) {
      case 0:
        return create();
      case 1:
        WHvSetupPartition(handle);
        break;
      case 2:
        WHvDeletePartition(handle);
        break;
      case 3: {
        const auto part = input_.take_bytes(flags);
        std::ranges::copy(part, buffer_.begin());
        WHvSetPartitionProperty(handle, property, buffer_.data(),
                                rarely != 0 ? size : static_cast<UINT32>(part.size()));
        break;
      }
      case 4:
        WHvGetPartitionProperty(handle, property, buffer_.data(), size, &written_);
        break;
      case 5:
        WHvGetCapability(static_cast<WHV_CAPABILITY_CODE>(code), buffer_.data(), size, &written_);
        break;
      case 6:
        return map(handle, gpa, bytes, flags);
      case 7:
        WHvUnmapGpaRange(handle, gpa, bytes);
        break;
      case 8:
        WHvCreateVirtualProcessor(handle, vp, rarely);
        break;
      case 9:
        WHvDeleteVirtualProcessor(handle, vp);
        break;
      case 10:
        WHvRunVirtualProcessor(handle, vp, buffer_.data(), size);
        break;
      case 11:
        WHvCancelRunVirtualProcessor(handle, vp, rarely);
        break;
      case 12:
        draw_registers();
        WHvGetVirtualProcessorRegisters(handle, vp, names_.data(), count(), values_.data());
        break;
      case 13:
        draw_registers();
        WHvSetVirtualProcessorRegisters(handle, vp, names_.data(), count(), values_.data());
        break;
      case 14: {
        WHV_INTERRUPT_CONTROL control{};
        std::memcpy(&control, buffer_.data(), sizeof control);
        WHvRequestInterrupt(handle, &control, rarely != 0 ? size : sizeof control);
        break;
      }
      case 15: {
        WHV_TRANSLATE_GVA_RESULT result{};
        WHV_GUEST_PHYSICAL_ADDRESS to = 0;
        WHvTranslateGva(handle, vp, gpa + size, static_cast<WHV_TRANSLATE_GVA_FLAGS>(flags & 15),
                        &result, &to);
        break;
      }
      case 16:
        WHvResetPartition(handle);
        break;
      case 17:
        WHvSuspendPartitionTime(handle);
        break;
      case 18:
        WHvResumePartitionTime(handle);
        break;
      case 19:
        WHvQueryGpaRangeDirtyBitmap(handle, gpa, bytes, rarely != 0 ? nullptr : bitmap_.data(),
                                    std::min<UINT32>(size & ~7u, sizeof bitmap_));
        break;
      case 20:
        WHvGetVirtualProcessorState(handle, vp, state_type(code), state_.data(), 2 * size,
                                    &written_);
        break;
      case 21: {
        const auto part = input_.take_bytes(flags);
        std::ranges::copy(part, state_.begin() + std::min<UINT32>(size, kStateBytes / 2));
        WHvSetVirtualProcessorState(handle, vp, state_type(code), state_.data(),
                                    rarely != 0 ? size : kStateBytes);
        break;
      }
      case 22:
        WHvGetVirtualProcessorInterruptControllerState(handle, vp, state_.data(), size, &written_);
        WHvSetVirtualProcessorInterruptControllerState(handle, vp, state_.data(), size);
        break;
      case 23:
        WHvGetPartitionCounters(handle, static_cast<WHV_PARTITION_COUNTER_SET>(code & 1),
                                buffer_.data(), size, &written_);
        WHvGetVirtualProcessorCounters(handle, vp, static_cast<WHV_PROCESSOR_COUNTER_SET>(code & 7),
                                       buffer_.data(), size, &written_);
        break;
      default:
        WHvRunhvMemoryWritten(handle, gpa, bytes);
        WHvRunhvGetInstructionCount(handle, vp, &count_);
        WHvRunhvGetCanceledOutsideRun(handle, vp, &count_);
    }
  }

 private:
  void create() {
    WHV_PARTITION_HANDLE handle = nullptr;
    if (handles_.size() < 8 && SUCCEEDED(WHvCreatePartition(&handle))) handles_.push_back(handle);
  }
  void map(WHV_PARTITION_HANDLE handle, UINT64 gpa, UINT64 bytes, UINT32 flags) {
    // What the client says that it has it does have: anything else is a crash on Windows too.
    std::byte* source = bytes > kMemoryBytes ? nullptr : memory.data();
    if (source != nullptr && flags >> 4 == 15) ++source;
    const auto rights = static_cast<WHV_MAP_GPA_RANGE_FLAGS>(flags & 15);
    if (flags >> 4 < 4) {
      const auto process = reinterpret_cast<HANDLE>(~std::uintptr_t{flags >> 4 & 1});
      WHvMapGpaRange2(handle, process, source, gpa, bytes, rights);
    } else {
      WHvMapGpaRange(handle, source, gpa, bytes, rights);
    }
  }
  // Mostly one that is there; else a null, a deleted one, or one that never was.
  WHV_PARTITION_HANDLE draw_handle() {
    const std::uint32_t which = input_.below(16);
    if (which == 15) return reinterpret_cast<WHV_PARTITION_HANDLE>(input_.take<std::uint64_t>());
    return handles_.empty() || which == 14 ? nullptr : handles_[which % handles_.size()];
  }
  UINT32 draw_processor() {
    return input_.below(8) == 0 ? input_.take<std::uint32_t>() : input_.below(4);
  }
  // A few pages, or anything.
  UINT64 draw_address() {
    return input_.below(8) == 0 ? input_.take<std::uint64_t>() : UINT64{4096} * input_.below(17);
  }
  UINT32 draw_code() {
    constexpr std::array<UINT32, 4> kBases{0, 0x1000, 0x1FF0, 0x2000};
    const std::uint32_t base = input_.below(4);
    return kBases[base] + input_.below(32);
  }
  void draw_registers() {
    constexpr std::array<UINT32, 4> kBases{0, 0x1000, 0x2000, 0x80000000};
    names_.resize(input_.below(9));
    values_.resize(names_.size());
    for (auto& name : names_) {
      const std::uint32_t base = input_.below(4);
      name = static_cast<WHV_REGISTER_NAME>(kBases[base] + input_.below(64));
    }
    for (auto& value : values_) value.Reg64 = input_.take<std::uint64_t>();
  }
  // The two that there are, mostly.
  static WHV_VIRTUAL_PROCESSOR_STATE_TYPE state_type(UINT32 code) {
    return static_cast<WHV_VIRTUAL_PROCESSOR_STATE_TYPE>(code < 0x1000 ? code
                                                                       : 0x1000 | (code & 1));
  }
  UINT32 count() const { return static_cast<UINT32>(names_.size()); }

  static constexpr UINT32 kBufferBytes = 512;
  static constexpr UINT32 kStateBytes = 4096;

  testing::FuzzInput& input_;
  std::vector<WHV_PARTITION_HANDLE> handles_;  // deleted ones too
  alignas(16) std::array<std::byte, kBufferBytes> buffer_{};
  std::array<std::byte, kStateBytes> state_{};
  std::array<UINT64, 8> bitmap_{};
  std::vector<WHV_REGISTER_NAME> names_;
  std::vector<WHV_REGISTER_VALUE> values_;
  UINT32 written_ = 0;
  UINT64 count_ = 0;
};

}  // namespace

// In the place of those that open an engine.
bool select_engine(std::string_view name) { return name == "soft"; }

const Selection& selected_engine() {
  static const auto& engine =
      *new OpenedEngine(std::unique_ptr<Engine>(std::make_unique<FuzzEngine>()));
  static const auto& selection = *new Selection{"soft", engine, std::nullopt, ""};
  return selection;
}

}  // namespace runhv::winhv_linux

void runhv::testing::fuzz(std::span<const std::byte> bytes) {
  FuzzInput input(bytes);
  winhv_linux::input_of_exits = &input;
  winhv_linux::Client client(input);
  while (!input.empty()) client.call();
}
