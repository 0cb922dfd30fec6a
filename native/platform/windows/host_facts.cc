#include "platform/host_facts.h"

#include <algorithm>
#include <array>

#include "platform/processor_answers.h"
#include "platform/system_name.h"
#include "platform/windows/system_version.h"

namespace runhv::platform {
namespace {

constexpr DWORD kFirmwareAllowsVirtualization = 21;  // PF_VIRT_FIRMWARE_ENABLED

// Editions of GetProductInfo that are not offered the feature: Starter, Nano Server, IoT Core.
constexpr std::array<DWORD, 5> kWithoutFeature{0x0b, 0x6d, 0x85, 0x86, 0x7b};

void ask_version(HostFacts& facts) {
  const OSVERSIONINFOW version = system_version();
  facts.windows_build = version.dwBuildNumber;
  DWORD product = 0;
  if (::GetProductInfo(version.dwMajorVersion, version.dwMinorVersion, 0, 0, &product) != 0) {
    facts.edition_has_feature =
        std::find(kWithoutFeature.begin(), kWithoutFeature.end(), product) == kWithoutFeature.end();
  }
}

}  // namespace

HostFacts host_facts() {
  HostFacts facts;
  facts.system = HostFacts::System::kWindows;
  facts.name = system_name();
  ask_version(facts);
  SYSTEM_INFO system{};
  ::GetNativeSystemInfo(&system);
  facts.processors = system.dwNumberOfProcessors;
  MEMORYSTATUSEX memory{};
  memory.dwLength = sizeof memory;
  if (::GlobalMemoryStatusEx(&memory) != 0) facts.available_memory_bytes = memory.ullAvailPhys;
  facts.firmware_allows_virtualization =
      ::IsProcessorFeaturePresent(kFirmwareAllowsVirtualization) != 0;
  ask_processor(facts);
  return facts;
}

}  // namespace runhv::platform
