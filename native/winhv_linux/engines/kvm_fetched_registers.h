// Registers in structures that KVM must be asked for: the FPU's, the debug registers, XCR0.
#pragma once

#include <array>
#include <cstddef>

#include "platform/device_file.h"
#include "winhv_linux/engines/kvm_interface.h"

namespace runhv::winhv_linux {

enum class KvmStructure : UINT8 { kXsave, kDebug, kXcrs };

// Each structure is fetched by the first register that is in it, and given back as a whole.
// Threads: one at a time.
class KvmFetchedRegisters {
 public:
  // `processor` outlives it.
  explicit KvmFetchedRegisters(const platform::DeviceFile& processor) : processor_(processor) {}

  HRESULT fetch(KvmStructure structure);
  // What has been fetched, changed or not, back.
  HRESULT give_back() const;

  // Of a register that is in `structure`, which has been fetched.
  WHV_REGISTER_VALUE read(KvmStructure structure, WHV_REGISTER_NAME name) const;
  void write(KvmStructure structure, WHV_REGISTER_NAME name, const WHV_REGISTER_VALUE& value);

 private:
  HRESULT once(bool& fetched, unsigned long request, void* to);

  const platform::DeviceFile& processor_;
  bool xsave_fetched_ = false;
  bool debug_fetched_ = false;
  bool xcrs_fetched_ = false;
  std::array<std::byte, kXsaveBytes> xsave_{};
  kvm_debugregs debug_{};
  kvm_xcrs xcrs_{};
};

}  // namespace runhv::winhv_linux
