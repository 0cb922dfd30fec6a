#include "platform/event.h"

#include <windows.h>

#include "base/check.h"
#include "platform/os_error.h"

namespace runhv::platform {
namespace {

HANDLE windows_handle(OsHandle handle) { return reinterpret_cast<HANDLE>(handle); }

}  // namespace

Result<Event> Event::create() {
  // Stays set until it is cleared.
  const HANDLE handle = ::CreateEventW(nullptr, TRUE, FALSE, nullptr);
  if (handle == nullptr) return Fail{last_os_error("make an event")};
  return Event(UniqueHandle(reinterpret_cast<OsHandle>(handle)));
}

void Event::set() { RUNHV_CHECK(::SetEvent(windows_handle(handle_.get())) != 0); }

void Event::clear() { RUNHV_CHECK(::ResetEvent(windows_handle(handle_.get())) != 0); }

}  // namespace runhv::platform
