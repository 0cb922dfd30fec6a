// A program that runs beside this one, and mostly ends with it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "platform/handle.h"
#include "platform/windows/system.h"

namespace runhv::platform {

class ChildProcess {
 public:
  // kDetached: it also has no console, and leaves the job of this process where it may.
  enum class Bound : std::uint8_t { kEndsWithUs, kFree, kDetached };
  struct Options {
    std::string program;
    std::vector<std::string> arguments;      // without its name
    std::string directory;                   // empty = ours
    std::array<HANDLE, 3> streams{};         // its stdin, stdout and stderr, and it has no more
    std::vector<std::string> environment{};  // NAME=value, in place of ours; empty = ours
    Bound bound = Bound::kEndsWithUs;
  };
  // kNotFound where there is no such program. A child that ends with us is in a job that ends it
  // when this object or this process ends, whatever that ends by.
  static Result<ChildProcess> start(const Options& options);

  HANDLE handle() const { return native(process_); }
  // Waits for its end.
  int exit_status() const;
  // Ends this object and gives the handle away. REQUIRES: the child does not end with us.
  UniqueHandle release() && { return std::move(process_); }

 private:
  ChildProcess(UniqueHandle job, UniqueHandle process)
      : job_(std::move(job)), process_(std::move(process)) {}
  UniqueHandle job_;
  UniqueHandle process_;
};

}  // namespace runhv::platform
