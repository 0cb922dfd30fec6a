// A partition with a few pages of hand-written guest code. Nothing here but WHP and the standard
// library: the same tests run on Windows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "whpapi/whp.h"

namespace runhv::conformance {

using Code = std::vector<std::uint8_t>;

// Where things are in the guest's first 2 MiB, which are its RAM and identity-mapped.
inline constexpr std::uint64_t kRamBytes = 0x200000;
inline constexpr std::uint64_t kDataGpa = 0x500;
inline constexpr std::uint64_t kCodeGpa = 0x1000;
inline constexpr std::uint64_t kHandlerGpa = 0x2000;
inline constexpr std::uint64_t kStackTop = 0x9000;
inline constexpr std::uint64_t kMmioGpa = 0xD0000000;  // mapped by the page tables, not by WHP

struct GuestOptions {
  UINT32 processors = 1;
  WHV_X64_LOCAL_APIC_EMULATION_MODE apic = WHvX64LocalApicEmulationModeNone;
  // Sets further properties before setup.
  std::function<void(WHV_PARTITION_HANDLE)> configure = nullptr;
};

struct PageDeleter {
  void operator()(std::byte* pages) const;
};
using Pages = std::unique_ptr<std::byte[], PageDeleter>;
Pages allocate_pages(std::size_t bytes);  // 4 KiB aligned, zeroed

// Every member reports a failing call as a failure of the case.
class Guest {
 public:
  explicit Guest(const GuestOptions& options = {});
  ~Guest();
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  WHV_PARTITION_HANDLE handle() const { return handle_; }

  void load(std::uint64_t gpa, const Code& code);
  // An interrupt gate of the guest's IDT.
  void set_gate(std::uint8_t vector, std::uint64_t handler);
  // Processor `vp` is ready to run the 64-bit code at `rip`, interrupts off.
  void enter_long_mode(std::uint64_t rip = kCodeGpa, UINT32 vp = 0);

  // Pages are the user's as well.
  void allow_user_mode();

  // Runs until an exit that means something: not None, and not a Canceled that nobody asked for.
  WHV_RUN_VP_EXIT_CONTEXT run(UINT32 vp = 0);
  WHV_RUN_VP_EXIT_CONTEXT run_once(UINT32 vp = 0);

  WHV_REGISTER_VALUE get(WHV_REGISTER_NAME name, UINT32 vp = 0);
  void set(std::initializer_list<std::pair<WHV_REGISTER_NAME, UINT64>> registers, UINT32 vp = 0);
  // Completes the instruction of `exit`: RIP behind it, and what else it changes.
  void complete(const WHV_RUN_VP_EXIT_CONTEXT& exit,
                std::initializer_list<std::pair<WHV_REGISTER_NAME, UINT64>> registers = {},
                UINT32 vp = 0);

  std::uint64_t read64(std::uint64_t gpa) const;
  std::byte* ram() { return ram_.get(); }

 private:
  Pages ram_;
  WHV_PARTITION_HANDLE handle_ = nullptr;
  UINT32 processors_;
};

// WHvCreatePartition; a failure fails the test.
WHV_PARTITION_HANDLE create_partition();

template <class T>
HRESULT set_property(WHV_PARTITION_HANDLE handle, WHV_PARTITION_PROPERTY_CODE code,
                     const T& value) {
  return WHvSetPartitionProperty(handle, code, &value, sizeof value);
}

Code operator+(Code left, const Code& right);

// Code that does something and says nothing.
Code wrmsr(std::uint32_t msr, std::uint64_t value);
Code enable_x2apic();         // APIC_BASE and the spurious vector register
Code end_of_interrupt();      // x2APIC
Code out(std::uint8_t port);  // al to a port: how guests here report
Code load_rbx(std::uint64_t value);

}  // namespace runhv::conformance
