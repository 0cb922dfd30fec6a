#include "platform/system_name.h"

#include <windows.h>

namespace runhv::platform {

std::string system_name() {
  // GetVersionEx tells a program without a manifest that this is Windows 8; ntdll tells the truth.
  using RtlGetVersion = LONG(WINAPI*)(OSVERSIONINFOW*);
  OSVERSIONINFOW version{};
  version.dwOSVersionInfoSize = sizeof version;
  const HMODULE ntdll = ::GetModuleHandleW(L"ntdll.dll");
  const FARPROC found = ntdll == nullptr ? nullptr : ::GetProcAddress(ntdll, "RtlGetVersion");
  if (found == nullptr) return "Windows";
  const auto get_version = reinterpret_cast<RtlGetVersion>(reinterpret_cast<void*>(found));
  if (get_version(&version) != 0) return "Windows";
  return "Windows " + std::to_string(version.dwMajorVersion) + "." +
         std::to_string(version.dwMinorVersion) + "." + std::to_string(version.dwBuildNumber);
}

}  // namespace runhv::platform
