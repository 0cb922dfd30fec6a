// Which bit of CPUID tells a guest of a feature that WHP has a name for. Those that no bit of CPUID
// tells of (RdclNo and others of an MSR) are not here.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "whpapi/whp.h"

namespace runhv::winhv_linux {

// WHV_PROCESSOR_FEATURES, WHV_PROCESSOR_FEATURES1, WHV_PROCESSOR_XSAVE_FEATURES.
using FeatureSets = std::array<UINT64, 3>;
// eax, ebx, ecx, edx.
using CpuidWords = std::array<std::uint32_t, 4>;

// The features of a processor whose CPUID is `cpuid`, of a function and an index.
FeatureSets features_of(const std::function<CpuidWords(std::uint32_t, std::uint32_t)>& cpuid);

// Takes the features of `hidden` out of CPUID's answer, and what is there for them alone.
void hide_features(const FeatureSets& hidden, std::uint32_t function, std::uint32_t index,
                   CpuidWords& words);

}  // namespace runhv::winhv_linux
