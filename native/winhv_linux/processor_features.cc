#include "winhv_linux/processor_features.h"

namespace runhv::winhv_linux {
namespace {

enum Set : std::uint8_t { kBank0, kBank1, kXsave };
enum Word : std::uint8_t { kEax, kEbx, kEcx, kEdx };

struct Feature {
  Set set;
  unsigned number;  // of its bit there
  std::uint32_t function;
  std::uint32_t index;
  Word word;
  unsigned bit;
};

// In the order of their numbers.
constexpr Feature kFeatureBits[] = {
    {kBank0, 0, 1, 0, kEcx, 0},             // Sse3
    {kBank0, 1, 0x80000001, 0, kEcx, 0},    // LahfSahf
    {kBank0, 2, 1, 0, kEcx, 9},             // Ssse3
    {kBank0, 3, 1, 0, kEcx, 19},            // Sse4_1
    {kBank0, 4, 1, 0, kEcx, 20},            // Sse4_2
    {kBank0, 5, 0x80000001, 0, kEcx, 6},    // Sse4a
    {kBank0, 6, 0x80000001, 0, kEcx, 11},   // Xop
    {kBank0, 7, 1, 0, kEcx, 23},            // PopCnt
    {kBank0, 8, 1, 0, kEcx, 13},            // Cmpxchg16b
    {kBank0, 9, 0x80000001, 0, kEcx, 4},    // Altmovcr8
    {kBank0, 10, 0x80000001, 0, kEcx, 5},   // Lzcnt
    {kBank0, 11, 0x80000001, 0, kEcx, 7},   // MisAlignSse
    {kBank0, 12, 0x80000001, 0, kEdx, 22},  // MmxExt
    {kBank0, 15, 0x80000001, 0, kEdx, 26},  // Page1Gb
    {kBank0, 16, 1, 0, kEcx, 25},           // Aes
    {kBank0, 17, 1, 0, kEcx, 1},            // Pclmulqdq
    {kBank0, 18, 1, 0, kEcx, 17},           // Pcid
    {kBank0, 19, 0x80000001, 0, kEcx, 16},  // Fma4
    {kBank0, 20, 1, 0, kEcx, 29},           // F16C
    {kBank0, 21, 1, 0, kEcx, 30},           // RdRand
    {kBank0, 22, 7, 0, kEbx, 0},            // RdWrFsGs
    {kBank0, 23, 7, 0, kEbx, 7},            // Smep
    {kBank0, 24, 7, 0, kEbx, 9},            // EnhancedFastString
    {kBank0, 25, 7, 0, kEbx, 3},            // Bmi1
    {kBank0, 26, 7, 0, kEbx, 8},            // Bmi2
    {kBank0, 29, 1, 0, kEcx, 22},           // Movbe
    {kBank0, 32, 7, 0, kEbx, 18},           // RdSeed
    {kBank0, 33, 7, 0, kEbx, 19},           // Adx
    {kBank0, 35, 7, 0, kEbx, 20},           // Smap
    {kBank0, 36, 7, 0, kEbx, 4},            // Hle
    {kBank0, 37, 7, 0, kEbx, 11},           // Rtm
    {kBank0, 38, 0x80000001, 0, kEdx, 27},  // Rdtscp
    {kBank0, 39, 7, 0, kEbx, 23},           // Clflushopt
    {kBank0, 40, 7, 0, kEbx, 24},           // Clwb
    {kBank0, 41, 7, 0, kEbx, 29},           // Sha
    {kBank0, 43, 7, 0, kEbx, 10},           // Invpcid
    {kBank0, 49, 7, 0, kEdx, 4},            // FastShortRepMov
    {kBank0, 57, 7, 0, kEcx, 22},           // RdPid
    {kBank0, 58, 7, 0, kEcx, 2},            // Umip
    {kBank1, 1, 0x80000007, 0, kEdx, 8},    // TscInvariant
    {kBank1, 17, 1, 0, kEcx, 24},           // TscDeadlineTmr
    {kBank1, 20, 7, 1, kEax, 11},           // FSRepStosb
    {kXsave, 0, 1, 0, kEcx, 26},            // Xsave
    {kXsave, 1, 0xD, 1, kEax, 0},           // Xsaveopt
    {kXsave, 2, 1, 0, kEcx, 28},            // Avx
    {kXsave, 3, 7, 0, kEbx, 5},             // Avx2
    {kXsave, 4, 1, 0, kEcx, 12},            // Fma
    {kXsave, 11, 0xD, 1, kEax, 1},          // XsaveComp
};

constexpr UINT64 kXsaveItself = 1u << 0;
constexpr UINT64 kAvx = 1u << 2;

// SDM Vol.2, CPUID leaf 0xD: the states that XSAVE keeps.
void hide_states(UINT64 hidden, std::uint32_t index, CpuidWords& words) {
  constexpr std::uint32_t kAvxState = 2;
  constexpr std::uint32_t kSseAreaBytes = 576;
  if ((hidden & kXsaveItself) != 0 || ((hidden & kAvx) != 0 && index == kAvxState)) {
    words = {};
  } else if ((hidden & kAvx) != 0 && index == 0) {
    words[kEax] &= ~(1u << kAvxState);
    const bool more = (words[kEax] & ~3u) != 0 || words[kEdx] != 0;
    if (!more) words[kEbx] = words[kEcx] = kSseAreaBytes;
  }
}

}  // namespace

FeatureSets features_of(const std::function<CpuidWords(std::uint32_t, std::uint32_t)>& cpuid) {
  FeatureSets sets{};
  for (const Feature& each : kFeatureBits) {
    const std::uint32_t word = cpuid(each.function, each.index)[each.word];
    sets[each.set] |= UINT64{word >> each.bit & 1} << each.number;
  }
  return sets;
}

void hide_features(const FeatureSets& hidden, std::uint32_t function, std::uint32_t index,
                   CpuidWords& words) {
  // Of other functions the index, ECX, says nothing.
  const bool has_indexes = function == 7 || function == 0xD;
  for (const Feature& each : kFeatureBits) {
    if (each.function == function && (!has_indexes || each.index == index) &&
        (hidden[each.set] >> each.number & 1) != 0) {
      words[each.word] &= ~(1u << each.bit);
    }
  }
  if (function == 0xD) hide_states(hidden[kXsave], index, words);
}

}  // namespace runhv::winhv_linux
