// What an error of KVM is to a client of WHP.
#pragma once

#include <cerrno>

#include "whpapi/whp.h"

namespace runhv::winhv_linux {

// `result`: minus an error number. EINVAL comes of values that the client chose.
inline HRESULT kvm_error(long result) {
  switch (-result) {
    case ENOMEM:
    case ENOSPC:
      return E_OUTOFMEMORY;
    case EINVAL:
      return E_INVALIDARG;
    case EACCES:
    case EPERM:
      return E_ACCESSDENIED;
    default:
      return E_UNEXPECTED;
  }
}

}  // namespace runhv::winhv_linux
