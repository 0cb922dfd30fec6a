// The library that implements WHP, found by the name of an engine.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "platform/library.h"

namespace runhv::hv {

struct WhpFunctions;

class WhpLibrary {
 public:
  // `engine`: "auto", "soft", "whp" or "kvm". Errors: kInvalidArgument for another name,
  // kUnsupported for an engine that this host or version does not have, kNotFound where the library
  // is missing, kHypervisorAbsent where it says that no hypervisor is there.
  static Result<std::unique_ptr<WhpLibrary>> open(const std::string& engine);
  ~WhpLibrary();

  const std::string& engine() const { return engine_; }  // never "auto"
  // Why "auto" took it, in words for people; empty where it was asked for by name, or is Windows'.
  const std::string& reason() const { return reason_; }
  const WhpFunctions& functions() const { return *functions_; }

 private:
  WhpLibrary(platform::Library library, std::unique_ptr<WhpFunctions> functions, std::string engine,
             std::string reason);
  platform::Library library_;
  std::unique_ptr<WhpFunctions> functions_;
  std::string engine_;
  std::string reason_;
};

}  // namespace runhv::hv
