#include "winhv_linux/engines/kvm_msr_filter.h"

#include <array>
#include <cstddef>

#include "winhv_linux/engines/kvm_interface.h"

namespace runhv::winhv_linux {
namespace {

// Those that no engine asks about (softcpu.h names them), and those that go with a feature which
// CPUID tells where the processor has it: each access would else leave KVM.
constexpr UINT32 kAlwaysKvms[] = {
    0x10,        // TSC
    0x1B,        // APIC_BASE
    0x3B,        // TSC_ADJUST
    0x48,        // SPEC_CTRL
    0x49,        // PRED_CMD
    0x10A,       // ARCH_CAPABILITIES
    0x10B,       // FLUSH_CMD
    0x1C4,       // XFD
    0x1C5,       // XFD_ERR
    0x6E0,       // TSC_DEADLINE
    0xDA0,       // XSS
    0xC0000080,  // EFER
    0xC0000081,  // STAR
    0xC0000082,  // LSTAR
    0xC0000083,  // CSTAR
    0xC0000084,  // SFMASK
    0xC0000100,  // FS_BASE
    0xC0000101,  // GS_BASE
    0xC0000102,  // KERNEL_GS_BASE
    0xC001011F,  // VIRT_SPEC_CTRL
};

// Where a filter has bits; everything else is asked of us. The x2APIC's MSRs are not filtered.
struct Window {
  UINT32 first;
  UINT32 count;  // a multiple of 8
};
constexpr Window kWindows[] = {
    {0x0, 0x300}, {0x6E0, 8}, {0xDA0, 8}, {0xC0000080, 0x88}, {0xC0010118, 8}};
constexpr std::size_t kLongestWindow = 0x300 / 8;

class Bitmap {
 public:
  void allow(UINT32 number) { bytes_[number / 8] |= static_cast<__u8>(1u << number % 8); }
  __u8* bytes() { return bytes_.data(); }

 private:
  std::array<__u8, kLongestWindow> bytes_{};
};

bool is_always_kvms(UINT32 msr) {
  for (const UINT32 each : kAlwaysKvms) {
    if (each == msr) return true;
  }
  return false;
}

// WHP's own registers and those that are no MSRs of a processor are not in the windows, so asking
// for a write of them changes nothing.
bool is_kvms_to_read(UINT32 msr, CpuAnswers& answers) {
  UINT64 value = 0;
  return is_always_kvms(msr) || answers.read_msr(0, msr, value) == MsrAnswer::kDefault;
}

bool is_kvms_to_write(UINT32 msr, CpuAnswers& answers) {
  return is_always_kvms(msr) || answers.write_msr(0, msr, 0) == MsrAnswer::kDefault;
}

}  // namespace

long set_msr_filter(const platform::DeviceFile& vm, CpuAnswers& answers) {
  constexpr std::size_t kCount = std::size(kWindows);
  static_assert(2 * kCount <= KVM_MSR_FILTER_MAX_RANGES);
  std::array<Bitmap, kCount> reads;
  std::array<Bitmap, kCount> writes;
  kvm_msr_filter filter{};
  filter.flags = KVM_MSR_FILTER_DEFAULT_DENY;
  for (std::size_t i = 0; i < kCount; ++i) {
    const Window& window = kWindows[i];
    for (UINT32 number = 0; number < window.count; ++number) {
      if (is_kvms_to_read(window.first + number, answers)) reads[i].allow(number);
      if (is_kvms_to_write(window.first + number, answers)) writes[i].allow(number);
    }
    filter.ranges[2 * i] = {.flags = KVM_MSR_FILTER_READ,
                            .nmsrs = window.count,
                            .base = window.first,
                            .bitmap = reads[i].bytes()};
    filter.ranges[2 * i + 1] = {.flags = KVM_MSR_FILTER_WRITE,
                                .nmsrs = window.count,
                                .base = window.first,
                                .bitmap = writes[i].bytes()};
  }
  return vm.request(KVM_X86_SET_MSR_FILTER, &filter);
}

}  // namespace runhv::winhv_linux
