// A name that one process holds and that is free again when the process ends, however it ends.
#pragma once

#include <string>

#include "base/result.h"
#include "platform/handle.h"

namespace runhv {

class NamedLock {
 public:
  // kConflict where another process of this user holds `name`. Leaves no file behind: an abstract
  // socket on Linux, a named mutex on Windows.
  static Result<NamedLock> acquire(const std::string& name);

 private:
  explicit NamedLock(UniqueHandle handle) : handle_(std::move(handle)) {}
  UniqueHandle handle_;
};

}  // namespace runhv
