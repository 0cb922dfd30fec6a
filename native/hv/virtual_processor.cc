#include "hv/virtual_processor.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"
#include "hv/exit_context.h"
#include "hv/hresult.h"
#include "hv/whp_functions.h"

namespace runhv::hv {
namespace {

constexpr std::size_t kMaxBatch = 32;

static_assert(sizeof(RegisterValue) == sizeof(WHV_REGISTER_VALUE));
static_assert(alignof(RegisterValue) >= alignof(WHV_REGISTER_VALUE));
static_assert(sizeof(Register) == sizeof(WHV_REGISTER_NAME));

constexpr bool same(Register ours, WHV_REGISTER_NAME theirs) {
  return static_cast<std::uint32_t>(ours) == static_cast<std::uint32_t>(theirs);
}
static_assert(same(Register::kRax, WHvX64RegisterRax) && same(Register::kR8, WHvX64RegisterR8) &&
              same(Register::kR15, WHvX64RegisterR15) && same(Register::kRip, WHvX64RegisterRip) &&
              same(Register::kRflags, WHvX64RegisterRflags));
static_assert(same(Register::kEs, WHvX64RegisterEs) && same(Register::kCs, WHvX64RegisterCs) &&
              same(Register::kSs, WHvX64RegisterSs) && same(Register::kDs, WHvX64RegisterDs) &&
              same(Register::kFs, WHvX64RegisterFs) && same(Register::kGs, WHvX64RegisterGs) &&
              same(Register::kLdtr, WHvX64RegisterLdtr) && same(Register::kTr, WHvX64RegisterTr) &&
              same(Register::kIdtr, WHvX64RegisterIdtr) &&
              same(Register::kGdtr, WHvX64RegisterGdtr));
static_assert(same(Register::kCr0, WHvX64RegisterCr0) && same(Register::kCr2, WHvX64RegisterCr2) &&
              same(Register::kCr3, WHvX64RegisterCr3) && same(Register::kCr4, WHvX64RegisterCr4) &&
              same(Register::kEfer, WHvX64RegisterEfer) &&
              same(Register::kPendingEvent, WHvRegisterPendingEvent));

std::string of_processor(const char* what, std::uint32_t index) {
  return std::string(what) + " virtual processor " + std::to_string(index);
}

}  // namespace

VirtualProcessor::~VirtualProcessor() { whp_.delete_virtual_processor(partition_, index_); }

Result<Exit> VirtualProcessor::run() {
  for (;;) {
    {
      const std::lock_guard lock(gate_);
      if (std::exchange(canceled_, false)) return Exit{ExitState{}, CanceledExit{}};
      running_ = true;
    }
    alignas(16) WHV_RUN_VP_EXIT_CONTEXT context{};
    const HRESULT hr = whp_.run_virtual_processor(partition_, index_, &context, sizeof context);
    {
      const std::lock_guard lock(gate_);
      running_ = false;
    }
    if (FAILED(hr)) return Fail{hresult_error(of_processor("run", index_), hr)};
    Exit exit = read_exit_context(context);
    // Ours, or one that an earlier run left behind when it had another exit to tell: canceled_ says
    // which. In the latter case there is nothing to tell and the guest goes on.
    if (!std::holds_alternative<CanceledExit>(exit.reason)) return exit;
  }
}

void VirtualProcessor::cancel() {
  const std::lock_guard lock(gate_);
  if (!std::exchange(canceled_, true) && running_) {
    whp_.cancel_run_virtual_processor(partition_, index_, 0);
  }
}

Result<void> VirtualProcessor::read(std::span<const Register> names,
                                    std::span<RegisterValue> values) const {
  RUNHV_CHECK(names.size() == values.size());
  const HRESULT hr = whp_.get_registers(
      partition_, index_, reinterpret_cast<const WHV_REGISTER_NAME*>(names.data()),
      static_cast<UINT32>(names.size()), reinterpret_cast<WHV_REGISTER_VALUE*>(values.data()));
  if (FAILED(hr)) return Fail{hresult_error(of_processor("read registers of", index_), hr)};
  return {};
}

Result<void> VirtualProcessor::write(std::span<const RegisterWrite> writes) {
  RUNHV_CHECK(writes.size() <= kMaxBatch);
  std::array<WHV_REGISTER_NAME, kMaxBatch> names;
  alignas(16) std::array<RegisterValue, kMaxBatch> values;
  for (std::size_t i = 0; i < writes.size(); ++i) {
    names[i] = static_cast<WHV_REGISTER_NAME>(writes[i].name);
    values[i] = writes[i].value;
  }
  const HRESULT hr =
      whp_.set_registers(partition_, index_, names.data(), static_cast<UINT32>(writes.size()),
                         reinterpret_cast<WHV_REGISTER_VALUE*>(values.data()));
  if (FAILED(hr)) return Fail{hresult_error(of_processor("write registers of", index_), hr)};
  return {};
}

Result<std::optional<Gpa>> VirtualProcessor::translate(std::uint64_t gva, Access access) const {
  WHV_TRANSLATE_GVA_FLAGS flags = WHvTranslateGvaFlagValidateRead;
  if (access == Access::kWrite) flags = WHvTranslateGvaFlagValidateWrite;
  if (access == Access::kExecute) flags = WHvTranslateGvaFlagValidateExecute;
  WHV_TRANSLATE_GVA_RESULT result{};
  WHV_GUEST_PHYSICAL_ADDRESS gpa = 0;
  const HRESULT hr = whp_.translate_gva(partition_, index_, gva, flags, &result, &gpa);
  if (FAILED(hr)) return Fail{hresult_error(of_processor("walk page tables of", index_), hr)};
  // S_OK says only that the code is valid. Where nothing is mapped at the address there is one
  // still.
  const bool translated = result.ResultCode == WHvTranslateGvaResultSuccess ||
                          result.ResultCode == WHvTranslateGvaResultGpaUnmapped;
  return translated ? std::optional(Gpa{gpa}) : std::nullopt;
}

std::uint64_t VirtualProcessor::instruction_count() const {
  UINT64 count = 0;
  if (whp_.get_instruction_count == nullptr ||
      FAILED(whp_.get_instruction_count(partition_, index_, &count))) {
    return UINT64_MAX;
  }
  return count;
}

}  // namespace runhv::hv
