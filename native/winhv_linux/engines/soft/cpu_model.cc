// SPDX-License-Identifier: LGPL-2.0-or-later
// The processor model: Haswell's instruction set (SSE2..AVX2, FMA, BMI) with RDSEED, and without
// what this core does not do: transactions, performance counters, speculation and its repairs.
#include <cstring>
#include <numeric>

#include "vm.h"

// Wants cpu.h first.
#include "cpu/cpudb/intel/corei7_haswell_4770.h"

namespace {

constexpr Bit32u kMiscEnable = 0x1a0, kPlatformId = 0x17, kMicrocodeRevision = 0x8b,
                 kArchCapabilities = 0x10a;

// 48 bytes, as three CPUID leaves hold them.
constexpr char kBrand[49] = "runhv software processor (Bochs 3.0 core)";

class Model : public corei7_haswell_4770_t {
 public:
  explicit Model(BX_CPU_C* cpu_in) : corei7_haswell_4770_t(cpu_in) {
    enable_cpu_extension(BX_ISA_RDSEED);
    const softcpu_config& config = vm_of(cpu->bx_machine)->config;
    if (config.apic_mode != SOFTCPU_APIC_X2APIC) disable_cpu_extension(BX_ISA_X2APIC);
    if (config.apic_mode == SOFTCPU_APIC_NONE) disable_cpu_extension(BX_ISA_TSC_DEADLINE);
    nthreads = 1;
    ncores = config.cpu_count;
    nprocessors = 1;
  }

  const char* get_name() const override { return "runhv"; }
  void dump_cpuid() const override {}

  void get_cpuid_leaf(Bit32u function, Bit32u subfunction, cpuid_function_t* leaf) const override {
    const softcpu_config& config = vm_of(cpu->bx_machine)->config;
    switch (function) {
      case 0:
        corei7_haswell_4770_t::get_cpuid_leaf(function, subfunction, leaf);
        leaf->eax = 0x16;
        return;
      case 1:
        corei7_haswell_4770_t::get_cpuid_leaf(function, subfunction, leaf);
        leaf->ecx &=
            ~(BX_CPUID_STD1_ECX_DTES64 | BX_CPUID_STD1_ECX_DS_CPL | BX_CPUID_STD1_ECX_EST |
              BX_CPUID_STD1_ECX_THERMAL_MONITOR2 | BX_CPUID_STD1_ECX_xTPR | BX_CPUID_STD1_ECX_PDCM);
        leaf->edx &= ~Bit32u(BX_CPUID_STD1_EDX_DEBUG_STORE | BX_CPUID_STD1_EDX_ACPI |
                             BX_CPUID_STD1_EDX_THERMAL_MONITOR | BX_CPUID_STD1_EDX_PBE);
        if (config.apic_mode == SOFTCPU_APIC_NONE) leaf->edx &= ~BX_CPUID_STD1_EDX_APIC;
        return;
      case 4:
        corei7_haswell_4770_t::get_cpuid_leaf(function, subfunction, leaf);
        if (leaf->eax) leaf->eax = (leaf->eax & 0x3fff) | ((config.cpu_count - 1) << 26);
        return;
      case 6:
        get_leaf(leaf, 4, 0, 0, 0);  // EAX[2]: the APIC timer always runs
        return;
      case 7:
        corei7_haswell_4770_t::get_cpuid_leaf(function, subfunction, leaf);
        if (subfunction == 0) {
          leaf->eax = 1;          // the last subleaf
          leaf->edx |= 1u << 4;   // fast short REP MOVSB: a string instruction is one host loop
          leaf->edx |= 1u << 29;  // IA32_ARCH_CAPABILITIES
        } else if (subfunction == 1) {
          get_leaf(leaf, 1u << 11, 0, 0, 0);  // fast short REP STOSB
        }
        return;
      case 0x80000002:
      case 0x80000003:
      case 0x80000004:
        get_ext_cpuid_brand_string_leaf(kBrand, function, leaf);
        return;
      case 2:
      case 0xd:
      case 0x80000000:
      case 0x80000001:
      case 0x80000006:
      case 0x80000007:
      case 0x80000008:
      case 0xb:
        corei7_haswell_4770_t::get_cpuid_leaf(function, subfunction, leaf);
        return;
      case 0x15: {
        // SDM 3A 19.7.3: TSC = ECX * EBX / EAX. Linux takes ECX for the APIC timer's rate as well.
        Bit64u divisor = std::gcd(config.tsc_hz, config.apic_hz);
        Bit64u numerator = config.tsc_hz / divisor, denominator = config.apic_hz / divisor;
        if ((numerator | denominator | config.apic_hz) >> 32)
          get_reserved_leaf(leaf);
        else
          get_leaf(leaf, Bit32u(denominator), Bit32u(numerator), Bit32u(config.apic_hz), 0);
        return;
      }
      case 0x16: {
        Bit32u mhz = Bit32u(config.tsc_hz / 1000000) & 0xffff;
        get_leaf(leaf, mhz, mhz, 0, 0);
        return;
      }
      default:
        get_reserved_leaf(leaf);
    }
  }

  int rdmsr(Bit32u index, Bit64u* value) override {
    switch (index) {
      case kMiscEnable:
        *value = 1;  // fast strings
        return 1;
      case kPlatformId:
      case kMicrocodeRevision:
        *value = 0;
        return 1;
      case kArchCapabilities:
        // Nothing is executed speculatively: RDCL_NO, SKIP_L1DFL, SSB_NO, MDS_NO, PSCHANGE_MC_NO,
        // TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO.
        *value = 1u << 0 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 8 | 1u << 13 | 1u << 14 |
                 1u << 15 | 1u << 20 | 1u << 24 | 1u << 26 | 1u << 27;
        return 1;
      default:
        return -1;
    }
  }

  int wrmsr(Bit32u index, Bit64u) override {
    return index == kMiscEnable || index == kMicrocodeRevision ? 1 : -1;
  }
};

}  // namespace

bx_cpuid_t* bx_create_cpu_model(BX_CPU_C* cpu) { return new Model(cpu); }
