// <linux/kvm.h>, with the sizes that it means. Some of its versions declare arrays of no length in
// a way that has a size in C++, and so spoil the numbers of the requests that take them.
#pragma once

#include <linux/kvm.h>
#include <cstddef>

#include "whpapi/whp.h"

namespace runhv::winhv_linux {

// kvm_cpuid2, kvm_msrs, kvm_irq_routing: the number of entries, and a word that is zero.
struct KvmListHeader {
  UINT32 count;
  UINT32 zero;
};
static_assert(sizeof(KvmListHeader) == 8);

inline constexpr unsigned long kGetSupportedCpuid =
    _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x05, sizeof(KvmListHeader));
inline constexpr unsigned long kSetGsiRouting =
    _IOC(_IOC_WRITE, KVMIO, 0x6A, sizeof(KvmListHeader));
inline constexpr unsigned long kGetMsrs =
    _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x88, sizeof(KvmListHeader));
inline constexpr unsigned long kSetMsrs = _IOC(_IOC_WRITE, KVMIO, 0x89, sizeof(KvmListHeader));
inline constexpr unsigned long kSetCpuid2 = _IOC(_IOC_WRITE, KVMIO, 0x90, sizeof(KvmListHeader));

inline constexpr std::size_t kXsaveBytes = 4096;
inline constexpr unsigned long kGetXsave = _IOC(_IOC_READ, KVMIO, 0xA4, kXsaveBytes);
inline constexpr unsigned long kSetXsave = _IOC(_IOC_WRITE, KVMIO, 0xA5, kXsaveBytes);

static_assert(offsetof(kvm_run, io) == 32 && offsetof(kvm_run, s) == 304);

}  // namespace runhv::winhv_linux
