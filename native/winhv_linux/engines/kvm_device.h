// /dev/kvm: what it can do, and the virtual machines that it makes.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "platform/device_file.h"
#include "winhv_linux/engine.h"
#include "winhv_linux/engines/kvm_interface.h"

namespace runhv::winhv_linux {

// Threads: any; nothing of it changes.
class KvmDevice {
 public:
  // Errors: kHypervisorAbsent with what is missing and what to do; kAccessDenied.
  static Result<KvmDevice> open(const std::string& path);

  Result<platform::DeviceFile> create_vm() const;

  std::span<const kvm_cpuid_entry2> supported_cpuid() const { return cpuid_; }
  std::size_t run_bytes() const { return run_bytes_; }  // of the page that a processor shares
  UINT32 slot_count() const { return slot_count_; }
  UINT64 tsc_hz() const { return tsc_hz_; }
  bool has_tsc_deadline() const { return has_tsc_deadline_; }

 private:
  explicit KvmDevice(platform::DeviceFile file) : file_(std::move(file)) {}
  Result<void> look();
  long extension(long number) const;

  platform::DeviceFile file_;
  std::string path_;
  std::vector<kvm_cpuid_entry2> cpuid_;
  std::size_t run_bytes_ = 0;
  UINT32 slot_count_ = 0;
  UINT64 tsc_hz_ = 0;
  bool has_tsc_deadline_ = false;
};

// KVM_ENABLE_CAP with one argument: 0, or minus an error number.
long enable_capability(const platform::DeviceFile& vm, UINT32 capability, UINT64 argument);

}  // namespace runhv::winhv_linux
