// What a host says of itself, where that decides whether a hypervisor can be had (docs/doctor.md).
#pragma once

#include <cstdint>
#include <string>

#include "platform/system_name.h"

namespace runhv::platform {

struct HostFacts {
  using System = platform::System;

  System system = System::kLinux;
  std::string name;  // system_name()
  std::uint32_t processors = 0;
  std::uint64_t available_memory_bytes = 0;  // that programs can have without others' giving way
  // What CPUID says: of VMX or SVM, and of a hypervisor below this system (Windows: also its own).
  bool has_virtualization = false;
  bool has_hypervisor = false;

  // Linux: of /dev/kvm, opened for reading and writing.
  std::int32_t kvm_errno = 0;
  // Windows.
  std::uint32_t windows_build = 0;
  bool firmware_allows_virtualization = false;
  bool edition_has_feature = true;
};

// Asks this host. Threads: any.
HostFacts host_facts();

}  // namespace runhv::platform
