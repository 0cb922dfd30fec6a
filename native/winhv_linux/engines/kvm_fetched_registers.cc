#include "winhv_linux/engines/kvm_fetched_registers.h"

#include <cstring>

#include "winhv_linux/engines/kvm_error.h"

namespace runhv::winhv_linux {
namespace {

// ---- the FPU: the legacy part of XSAVE (SDM Vol.1 §13.4.1), in which KVM gives it ----

struct LegacyFpu {
  UINT16 control;
  UINT16 status;
  UINT8 tag;
  UINT8 reserved;
  UINT16 opcode;
  UINT64 instruction;
  UINT64 operand;
  UINT32 mxcsr;
  UINT32 mxcsr_mask;
  UINT8 st[8][16];
  UINT8 xmm[16][16];
};
static_assert(sizeof(LegacyFpu) == 416);
constexpr std::size_t kXstateBvOffset = 512;
constexpr UINT64 kX87AndSse = 3;

WHV_REGISTER_VALUE read_fpu(const LegacyFpu& fpu, WHV_REGISTER_NAME name) {
  WHV_REGISTER_VALUE value{};
  if (name == WHvX64RegisterFpControlStatus) {
    value.FpControlStatus.FpControl = fpu.control;
    value.FpControlStatus.FpStatus = fpu.status;
    value.FpControlStatus.FpTag = fpu.tag;
    value.FpControlStatus.LastFpOp = fpu.opcode;
    value.FpControlStatus.LastFpRip = fpu.instruction;
  } else if (name == WHvX64RegisterXmmControlStatus) {
    value.XmmControlStatus.LastFpRdp = fpu.operand;
    value.XmmControlStatus.XmmStatusControl = fpu.mxcsr;
    value.XmmControlStatus.XmmStatusControlMask = fpu.mxcsr_mask;
  } else if (name >= WHvX64RegisterXmm0 && name <= WHvX64RegisterXmm15) {
    std::memcpy(&value, fpu.xmm[name - WHvX64RegisterXmm0], 16);
  } else {
    std::memcpy(&value, fpu.st[name - WHvX64RegisterFpMmx0], 10);
  }
  return value;
}

void write_fpu(LegacyFpu& fpu, WHV_REGISTER_NAME name, const WHV_REGISTER_VALUE& value) {
  if (name == WHvX64RegisterFpControlStatus) {
    fpu.control = value.FpControlStatus.FpControl;
    fpu.status = value.FpControlStatus.FpStatus;
    fpu.tag = value.FpControlStatus.FpTag;
    fpu.opcode = value.FpControlStatus.LastFpOp;
    fpu.instruction = value.FpControlStatus.LastFpRip;
  } else if (name == WHvX64RegisterXmmControlStatus) {
    fpu.operand = value.XmmControlStatus.LastFpRdp;
    fpu.mxcsr = value.XmmControlStatus.XmmStatusControl;  // the mask is the processor's
  } else if (name >= WHvX64RegisterXmm0 && name <= WHvX64RegisterXmm15) {
    std::memcpy(fpu.xmm[name - WHvX64RegisterXmm0], &value, 16);
  } else {
    std::memcpy(fpu.st[name - WHvX64RegisterFpMmx0], &value, 10);
  }
}

template <class Debug>  // kvm_debugregs, constant or not
auto& debug_register(Debug& debug, WHV_REGISTER_NAME name) {
  if (name == WHvX64RegisterDr6) return debug.dr6;
  if (name == WHvX64RegisterDr7) return debug.dr7;
  return debug.db[name - WHvX64RegisterDr0];
}

}  // namespace

HRESULT KvmFetchedRegisters::once(bool& fetched, unsigned long request, void* to) {
  if (fetched) return S_OK;
  const long result = processor_.request(request, to);
  fetched = result >= 0;
  return fetched ? S_OK : kvm_error(result);
}

HRESULT KvmFetchedRegisters::fetch(KvmStructure structure) {
  switch (structure) {
    case KvmStructure::kXsave:
      return once(xsave_fetched_, kGetXsave, xsave_.data());
    case KvmStructure::kDebug:
      return once(debug_fetched_, KVM_GET_DEBUGREGS, &debug_);
    case KvmStructure::kXcrs:
      break;
  }
  return once(xcrs_fetched_, KVM_GET_XCRS, &xcrs_);
}

HRESULT KvmFetchedRegisters::give_back() const {
  // XCR0 first: it says what of XSAVE there is.
  if (xcrs_fetched_) {
    if (const long r = processor_.request(KVM_SET_XCRS, &xcrs_); r < 0) return kvm_error(r);
  }
  if (xsave_fetched_) {
    if (const long r = processor_.request(kSetXsave, xsave_.data()); r < 0) return kvm_error(r);
  }
  if (debug_fetched_) {
    if (const long r = processor_.request(KVM_SET_DEBUGREGS, &debug_); r < 0) return kvm_error(r);
  }
  return S_OK;
}

WHV_REGISTER_VALUE KvmFetchedRegisters::read(KvmStructure structure, WHV_REGISTER_NAME name) const {
  WHV_REGISTER_VALUE value{};
  switch (structure) {
    case KvmStructure::kXsave: {
      LegacyFpu fpu;
      std::memcpy(&fpu, xsave_.data(), sizeof fpu);
      return read_fpu(fpu, name);
    }
    case KvmStructure::kDebug:
      value.Reg64 = debug_register(debug_, name);
      break;
    case KvmStructure::kXcrs:
      value.Reg64 = xcrs_.xcrs[0].value;
      break;
  }
  return value;
}

void KvmFetchedRegisters::write(KvmStructure structure, WHV_REGISTER_NAME name,
                                const WHV_REGISTER_VALUE& value) {
  switch (structure) {
    case KvmStructure::kXsave: {
      LegacyFpu fpu;
      std::memcpy(&fpu, xsave_.data(), sizeof fpu);
      write_fpu(fpu, name, value);
      std::memcpy(xsave_.data(), &fpu, sizeof fpu);
      // Else what was written would be taken for state that was never used.
      UINT64 in_use = 0;
      std::memcpy(&in_use, xsave_.data() + kXstateBvOffset, sizeof in_use);
      in_use |= kX87AndSse;
      std::memcpy(xsave_.data() + kXstateBvOffset, &in_use, sizeof in_use);
      break;
    }
    case KvmStructure::kDebug:
      debug_register(debug_, name) = value.Reg64;
      break;
    case KvmStructure::kXcrs:
      xcrs_.nr_xcrs = 1;
      xcrs_.xcrs[0].xcr = 0;
      xcrs_.xcrs[0].value = value.Reg64;
      break;
  }
}

}  // namespace runhv::winhv_linux
