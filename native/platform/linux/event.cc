#include "platform/event.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "base/check.h"
#include "platform/os_error.h"

namespace runhv::platform {

Result<Event> Event::create() {
  UniqueHandle handle(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!handle.is_open()) return Fail{last_os_error("make an event")};
  return Event(std::move(handle));
}

void Event::set() {
  const std::uint64_t one = 1;
  RUNHV_CHECK(::write(static_cast<int>(handle_.get()), &one, sizeof one) == sizeof one);
}

void Event::clear() {
  std::uint64_t count = 0;
  // EAGAIN: it was not set.
  [[maybe_unused]] const ssize_t ignored =
      ::read(static_cast<int>(handle_.get()), &count, sizeof count);
}

}  // namespace runhv::platform
