#include "winhv_linux/profile.h"

#include <array>
#include <cstdio>
#include <string>

#include "platform/process.h"

namespace runhv::winhv_linux {
namespace {

// Field guide §1.2: what build 26200 reports. Other builds' reports are not known.
constexpr UINT64 kFeatures = 0x2FF;
constexpr UINT64 kExtendedVmExits = 0x7FFF;
constexpr UINT64 kGpaAccessFaultExit = UINT64{1} << 14;
// §2.1 and §2.6: the bits that are documented.
constexpr UINT64 kX64MsrExits = 0x3F;
constexpr UINT64 kSyntheticFeatures = 0x6F'FF44'8FFF;

// §5, "fallback table by build": GpaAccessFaultExit and PhysicalAddressWidth come with 26100.
constexpr std::array kPhysicalAddressWidth{
    static_cast<UINT32>(whpapi::kWhvCapabilityPhysicalAddressWidth)};
constexpr std::array kPropertyOfAddressWidth{
    static_cast<UINT32>(whpapi::kWhvPropertyPhysicalAddressWidth)};

// Hyperlight found no export of it on images of Server 2022 (field guide §1.3).
constexpr std::array<std::string_view, 1> kResetPartition{"WHvResetPartition"};

constexpr Profile before_26100(std::string_view name,
                               std::span<const std::string_view> absent_calls) {
  return {name,
          kFeatures,
          kExtendedVmExits & ~kGpaAccessFaultExit,
          kX64MsrExits,
          kSyntheticFeatures,
          HaltReport::kNever,
          kPhysicalAddressWidth,
          kPropertyOfAddressWidth,
          {},
          absent_calls};
}

constexpr Profile since_26100(std::string_view name) {
  return {name,
          kFeatures,
          kExtendedVmExits,
          kX64MsrExits,
          kSyntheticFeatures,
          HaltReport::kNever,
          {},
          {},
          {},
          {}};
}

constexpr std::array kProfiles{
    since_26100("windows-11-24h2"),                        // build 26100; the default
    since_26100("windows-server-2025"),                    // 26100
    before_26100("windows-11-22h2", {}),                   // 22621
    before_26100("windows-server-2022", kResetPartition),  // 20348
};

const Profile* read_profile() {
  const std::string name = platform::environment("RUNHV_WHP_PROFILE");
  if (name.empty()) return kProfiles.data();
  const Profile* profile = find_profile(name);
  if (profile == nullptr) {
    std::string known;
    for (const Profile& each : kProfiles) known += " " + std::string(each.name);
    std::fprintf(stderr, "winhvplatform: RUNHV_WHP_PROFILE is \"%s\"; the profiles are%s\n",
                 name.c_str(), known.c_str());
  }
  return profile;
}

}  // namespace

std::span<const Profile> profiles() { return kProfiles; }

const Profile* find_profile(std::string_view name) {
  const auto found = std::ranges::find(kProfiles, name, &Profile::name);
  return found == kProfiles.end() ? nullptr : &*found;
}

const Profile* configured_profile() {
  static const Profile* const profile = read_profile();
  return profile;
}

}  // namespace runhv::winhv_linux
