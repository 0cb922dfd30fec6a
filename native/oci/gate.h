// Where a child of this process waits until it is told to go on.
#pragma once

#include <optional>
#include <utility>

#include "base/result.h"
#include "platform/local_socket.h"

namespace runhv::oci {

// It is not told where nobody tells it: a caller that was killed.
class Gate {
 public:
  static Result<Gate> make();
  void open();
  // In the child. Whether it is to go on.
  bool wait();

 private:
  Gate(platform::LocalConnection ours, platform::LocalConnection theirs)
      : ours_(std::move(ours)), theirs_(std::move(theirs)) {}
  std::optional<platform::LocalConnection> ours_;
  platform::LocalConnection theirs_;
};

}  // namespace runhv::oci
