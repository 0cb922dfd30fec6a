#include "platform/tap.h"

#include "base/check.h"

namespace runhv::platform {

Result<Tap> Tap::create(const std::string& name) {
  return Fail{Error{Code::kUnsupported, "make the network interface " + name,
                    "Windows has no taps: a container has a loopback there"}};
}

Result<Tap> Tap::adopt_owned(UniqueHandle) {
  return Fail{Error{Code::kUnsupported, "take a tap", "Windows has none"}};
}

// Of a tap there is none, since nothing makes one.
Result<void> Tap::leave_to_reader(bool, bool, bool) { RUNHV_CHECK(false); }
IoResult Tap::read(std::span<const std::span<std::byte>>) { RUNHV_CHECK(false); }
IoResult Tap::write(std::span<const std::span<const std::byte>>) { RUNHV_CHECK(false); }

}  // namespace runhv::platform
