#include "winhv_linux/engines/kvm_engine.h"

namespace runhv::winhv_linux {

Result<std::unique_ptr<Engine>> open_kvm_engine(const std::string& path) {
  return Fail{Error{Code::kUnsupported, "open " + path, "KVM is Linux's"}};
}

}  // namespace runhv::winhv_linux
