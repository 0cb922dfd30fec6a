// Registers in the page that KVM shares (KVM_CAP_SYNC_REGS): general, segment and control
// registers, and events.
#pragma once

#include "winhv_linux/engines/kvm_interface.h"

namespace runhv::winhv_linux {

// Of a register that is there.
WHV_REGISTER_VALUE read_shared(kvm_sync_regs& shared, WHV_REGISTER_NAME name);
// False: a value that KVM cannot be given.
bool write_shared(kvm_sync_regs& shared, WHV_REGISTER_NAME name, const WHV_REGISTER_VALUE& value);

}  // namespace runhv::winhv_linux
