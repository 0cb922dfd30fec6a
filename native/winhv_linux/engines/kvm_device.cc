#include "winhv_linux/engines/kvm_device.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "platform/os_error.h"

namespace runhv::winhv_linux {
namespace {

constexpr long kApiVersion = 12;
constexpr UINT32 kCpuidEntries = 256;  // more than KVM has

struct Extension {
  long number;
  const char* name;
};

// What the engine cannot do without. All are there since Linux 5.10.
constexpr Extension kNeeded[] = {{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
                                 {KVM_CAP_SYNC_REGS, "KVM_CAP_SYNC_REGS"},
                                 {KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP"},
                                 {KVM_CAP_X2APIC_API, "KVM_CAP_X2APIC_API"},
                                 {KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI"},
                                 {KVM_CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM"},
                                 {KVM_CAP_X86_USER_SPACE_MSR, "KVM_CAP_X86_USER_SPACE_MSR"},
                                 {KVM_CAP_X86_MSR_FILTER, "KVM_CAP_X86_MSR_FILTER"},
                                 {KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS"},
                                 {KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE"},
                                 {KVM_CAP_XSAVE, "KVM_CAP_XSAVE"},
                                 {KVM_CAP_XCRS, "KVM_CAP_XCRS"},
                                 {KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS"},
                                 {KVM_CAP_GET_TSC_KHZ, "KVM_CAP_GET_TSC_KHZ"}};

Fail<Error> lacks(const std::string& path, const std::string& what) {
  return Fail{Error{Code::kHypervisorAbsent, "use " + path,
                    what + "; engine kvm needs Linux 5.10 or newer"}};
}

}  // namespace

long enable_capability(const platform::DeviceFile& vm, UINT32 capability, UINT64 argument) {
  kvm_enable_cap enable{};
  enable.cap = capability;
  enable.args[0] = argument;
  return vm.request(KVM_ENABLE_CAP, &enable);
}

Result<KvmDevice> KvmDevice::open(const std::string& path) {
  auto file = platform::DeviceFile::open(path);
  if (!file) {
    Error error = std::move(file).error();
    if (error.os_code == ENOENT || error.os_code == ENXIO || error.os_code == ENODEV) {
      error.code = Code::kHypervisorAbsent;
      error.detail =
          "no KVM here: load kvm-intel or kvm-amd, and enable virtualization in the "
          "firmware, or nested virtualization in the machine around this one";
    } else if (error.os_code == EACCES || error.os_code == EPERM) {
      error.detail = "this user may not use KVM: join the group that owns the device, often kvm";
    }
    return Fail{std::move(error)};
  }
  KvmDevice device(std::move(*file));
  device.path_ = path;
  RUNHV_TRY(device.look());
  return device;
}

long KvmDevice::extension(long number) const {
  return file_.request(KVM_CHECK_EXTENSION, static_cast<std::uintptr_t>(number));
}

Result<void> KvmDevice::look() {
  if (file_.request(KVM_GET_API_VERSION) != kApiVersion) {
    return lacks(path_, "it does not speak KVM's interface of version 12");
  }
  for (const Extension& needed : kNeeded) {
    if (extension(needed.number) <= 0) return lacks(path_, std::string("no ") + needed.name);
  }
  slot_count_ = static_cast<UINT32>(std::max(extension(KVM_CAP_NR_MEMSLOTS), 32L));
  has_tsc_deadline_ = extension(KVM_CAP_TSC_DEADLINE_TIMER) > 0;

  const long run_bytes = file_.request(KVM_GET_VCPU_MMAP_SIZE);
  if (run_bytes < static_cast<long>(sizeof(kvm_run))) {
    return lacks(path_, "the page of a processor is too small");
  }
  run_bytes_ = static_cast<std::size_t>(run_bytes);

  std::vector<std::byte> bytes(sizeof(KvmListHeader) + kCpuidEntries * sizeof(kvm_cpuid_entry2));
  KvmListHeader header{.count = kCpuidEntries, .zero = 0};
  std::memcpy(bytes.data(), &header, sizeof header);
  if (const long result = file_.request(kGetSupportedCpuid, bytes.data()); result < 0) {
    return Fail{platform::os_error("ask " + path_ + " for CPUID", -result)};
  }
  std::memcpy(&header, bytes.data(), sizeof header);
  cpuid_.resize(std::min(header.count, kCpuidEntries));
  std::memcpy(cpuid_.data(), bytes.data() + sizeof header,
              cpuid_.size() * sizeof(kvm_cpuid_entry2));

  // Only a processor tells its frequency, before Linux 5.17.
  RUNHV_TRY_ASSIGN(const platform::DeviceFile vm, create_vm());
  const long made = vm.request(KVM_CREATE_VCPU);
  if (made < 0) return Fail{platform::os_error("create a processor of " + path_, -made)};
  const platform::DeviceFile processor{platform::UniqueHandle(made)};
  const long khz = processor.request(KVM_GET_TSC_KHZ);
  if (khz <= 0) return lacks(path_, "no frequency of the TSC");
  tsc_hz_ = static_cast<UINT64>(khz) * 1000;
  return {};
}

Result<platform::DeviceFile> KvmDevice::create_vm() const {
  for (;;) {
    const long made = file_.request(KVM_CREATE_VM);
    if (made >= 0) return platform::DeviceFile(platform::UniqueHandle(made));
    // A signal that came meanwhile.
    if (made != -EINTR) {
      return Fail{platform::os_error("create a virtual machine of " + path_, -made)};
    }
  }
}

}  // namespace runhv::winhv_linux
