#include "platform/system_name.h"

#include "platform/windows/system_version.h"

namespace runhv::platform {

OSVERSIONINFOW system_version() {
  using RtlGetVersion = LONG(WINAPI*)(OSVERSIONINFOW*);
  OSVERSIONINFOW version{};
  version.dwOSVersionInfoSize = sizeof version;
  const HMODULE ntdll = ::GetModuleHandleW(L"ntdll.dll");
  const FARPROC found = ntdll == nullptr ? nullptr : ::GetProcAddress(ntdll, "RtlGetVersion");
  if (found == nullptr) return {};
  const auto get_version = reinterpret_cast<RtlGetVersion>(reinterpret_cast<void*>(found));
  return get_version(&version) == 0 ? version : OSVERSIONINFOW{};
}

System this_system() { return System::kWindows; }

std::string system_name() {
  const OSVERSIONINFOW version = system_version();
  if (version.dwMajorVersion == 0) return "Windows";
  return "Windows " + std::to_string(version.dwMajorVersion) + "." +
         std::to_string(version.dwMinorVersion) + "." + std::to_string(version.dwBuildNumber);
}

}  // namespace runhv::platform
