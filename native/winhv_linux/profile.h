// What a version of Windows has of WHP, as a value: a partition gets its engine's capabilities as
// far as its profile has them. Facts are the field guide's; where a version is not known to differ
// it does not.
#pragma once

#include <algorithm>
#include <span>
#include <string_view>

#include "whpapi/whp.h"

namespace runhv::winhv_linux {

// When a HLT with a local APIC in the hypervisor is reported (field guide §4.4: builds differ).
enum class HaltReport {
  kNever,      // Run blocks until an interrupt
  kThenBlock,  // X64Halt once, the next Run blocks
  kAlways      // X64Halt at once, from every Run while nothing is deliverable
};

struct Profile {
  std::string_view name;
  UINT64 features;  // bits that the version knows, as in Capabilities
  UINT64 extended_vm_exits;
  UINT64 x64_msr_exits;
  UINT64 synthetic_features;
  HaltReport halt_report;
  std::span<const UINT32> absent_capabilities;     // WHV_CAPABILITY_CODE
  std::span<const UINT32> absent_properties;       // WHV_PARTITION_PROPERTY_CODE
  std::span<const UINT32> absent_registers;        // WHV_REGISTER_NAME
  std::span<const std::string_view> absent_calls;  // exported by us, but not by this version
};

inline bool lacks_call(const Profile& profile, std::string_view call) {
  return std::ranges::find(profile.absent_calls, call) != profile.absent_calls.end();
}

inline bool is_absent(std::span<const UINT32> absent, UINT32 code) {
  return std::ranges::find(absent, code) != absent.end();
}

std::span<const Profile> profiles();
// Null: no profile of that name.
const Profile* find_profile(std::string_view name);

// The profile that $RUNHV_WHP_PROFILE names, or the default, windows-11-24h2. Null, and a line on
// stderr, where it names none. Read from the environment once.
const Profile* configured_profile();

}  // namespace runhv::winhv_linux
