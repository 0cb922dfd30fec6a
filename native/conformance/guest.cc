#include "conformance/guest.h"
#include "conformance/expect.h"
#include "conformance/newer_calls.h"

#include <cstring>
#include <new>

namespace runhv::conformance {
namespace {

constexpr std::align_val_t kPageAlignment{4096};

constexpr std::uint64_t kPml4Gpa = 0x10000;
constexpr std::uint64_t kPdptGpa = 0x11000;
constexpr std::uint64_t kPageDirectoriesGpa = 0x12000;  // four: 4 GiB in 2 MiB pages
constexpr std::uint64_t kGdtGpa = 0x20000;
constexpr std::uint64_t kIdtGpa = 0x21000;
constexpr std::uint64_t kGdt[] = {0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF};
constexpr std::uint16_t kCodeSelector = 8;
constexpr std::uint16_t kDataSelector = 16;

WHV_REGISTER_VALUE segment(std::uint16_t selector, std::uint16_t attributes, std::uint32_t limit) {
  WHV_REGISTER_VALUE value{};
  value.Segment.Selector = selector;
  value.Segment.Limit = limit;
  value.Segment.Attributes = attributes;
  return value;
}

WHV_REGISTER_VALUE table(std::uint64_t base, std::uint16_t limit) {
  WHV_REGISTER_VALUE value{};
  value.Table.Base = base;
  value.Table.Limit = limit;
  return value;
}

WHV_REGISTER_VALUE number(std::uint64_t value) {
  WHV_REGISTER_VALUE result{};
  result.Reg64 = value;
  return result;
}

}  // namespace

void PageDeleter::operator()(std::byte* pages) const { ::operator delete[](pages, kPageAlignment); }

Pages allocate_pages(std::size_t bytes) {
  auto* pages = static_cast<std::byte*>(::operator new[](bytes, kPageAlignment));
  std::memset(pages, 0, bytes);
  return Pages(pages);
}

WHV_PARTITION_HANDLE create_partition() {
  WHV_PARTITION_HANDLE handle = nullptr;
  EXPECT_EQ(WHvCreatePartition(&handle), S_OK);
  return handle;
}

Guest::Guest(const GuestOptions& options)
    : ram_(allocate_pages(kRamBytes)),
      handle_(create_partition()),
      processors_(options.processors) {
  EXPECT_EQ(set_property(handle_, WHvPartitionPropertyCodeProcessorCount, options.processors),
            S_OK);
  EXPECT_EQ(set_property(handle_, WHvPartitionPropertyCodeLocalApicEmulationMode, options.apic),
            S_OK);
  if (options.configure) options.configure(handle_);
  EXPECT_EQ(WHvSetupPartition(handle_), S_OK);
  EXPECT_EQ(
      WHvMapGpaRange(handle_, ram_.get(), 0, kRamBytes,
                     WHvMapGpaRangeFlagRead | WHvMapGpaRangeFlagWrite | WHvMapGpaRangeFlagExecute),
      S_OK);
  for (UINT32 vp = 0; vp < processors_; ++vp) {
    EXPECT_EQ(WHvCreateVirtualProcessor(handle_, vp, 0), S_OK);
  }

  const auto store = [&](std::uint64_t gpa, std::uint64_t value) {
    std::memcpy(ram_.get() + gpa, &value, sizeof value);
  };
  constexpr std::uint64_t kPresentWritable = 3;
  constexpr std::uint64_t kLarge = 0x80;
  store(kPml4Gpa, kPdptGpa | kPresentWritable);
  for (std::uint64_t i = 0; i < 4; ++i) {
    store(kPdptGpa + 8 * i, (kPageDirectoriesGpa + 4096 * i) | kPresentWritable);
  }
  for (std::uint64_t i = 0; i < 4 * 512; ++i) {
    store(kPageDirectoriesGpa + 8 * i, i << 21 | kPresentWritable | kLarge);
  }
  std::memcpy(ram_.get() + kGdtGpa, kGdt, sizeof kGdt);
}

Guest::~Guest() {
  for (UINT32 vp = 0; vp < processors_; ++vp) {
    EXPECT_EQ(WHvDeleteVirtualProcessor(handle_, vp), S_OK);
  }
  EXPECT_EQ(WHvDeletePartition(handle_), S_OK);
}

void Guest::load(std::uint64_t gpa, const Code& code) {
  ASSERT_LE(gpa + code.size(), kRamBytes);
  std::memcpy(ram_.get() + gpa, code.data(), code.size());
  // A software processor must be told of new instructions; hardware sees them.
  if (newer_calls().memory_written != nullptr) {
    EXPECT_EQ(newer_calls().memory_written(handle_, gpa, code.size()), S_OK);
  }
}

void Guest::set_gate(std::uint8_t vector, std::uint64_t handler) {
  constexpr std::uint64_t kInterruptGate = 0x8E00;
  const std::uint64_t low = (handler & 0xFFFF) | std::uint64_t{kCodeSelector} << 16 |
                            kInterruptGate << 32 | (handler >> 16 & 0xFFFF) << 48;
  std::memcpy(ram_.get() + kIdtGpa + 16 * vector, &low, sizeof low);
}

void Guest::enter_long_mode(std::uint64_t rip, UINT32 vp) {
  const WHV_REGISTER_NAME names[] = {WHvX64RegisterCr3,  WHvX64RegisterCr4,  WHvX64RegisterEfer,
                                     WHvX64RegisterCr0,  WHvX64RegisterCs,   WHvX64RegisterDs,
                                     WHvX64RegisterEs,   WHvX64RegisterSs,   WHvX64RegisterTr,
                                     WHvX64RegisterGdtr, WHvX64RegisterIdtr, WHvX64RegisterRflags,
                                     WHvX64RegisterRip,  WHvX64RegisterRsp};
  const WHV_REGISTER_VALUE data = segment(kDataSelector, 0xC093, 0xFFFFFFFF);
  const WHV_REGISTER_VALUE values[] = {number(kPml4Gpa),
                                       number(0x620),       // PAE, OSFXSR, OSXMMEXCPT
                                       number(0x500),       // LME, LMA
                                       number(0x80000033),  // PG, NE, ET, MP, PE
                                       segment(kCodeSelector, 0xA09B, 0xFFFFFFFF),
                                       data,
                                       data,
                                       data,
                                       segment(0x18, 0x8B, 0x67),
                                       table(kGdtGpa, sizeof kGdt - 1),
                                       table(kIdtGpa, 4095),
                                       number(2),
                                       number(rip),
                                       number(kStackTop)};
  static_assert(std::size(names) == std::size(values));
  ASSERT_EQ(WHvSetVirtualProcessorRegisters(handle_, vp, names, std::size(names), values), S_OK);
}

void Guest::allow_user_mode() {
  constexpr std::byte kUser{4};
  ram_[kPml4Gpa] |= kUser;
  for (std::uint64_t i = 0; i < 4; ++i) ram_[kPdptGpa + 8 * i] |= kUser;
  for (std::uint64_t i = 0; i < std::uint64_t{4} * 512; ++i) {
    ram_[kPageDirectoriesGpa + 8 * i] |= kUser;
  }
}

WHV_RUN_VP_EXIT_CONTEXT Guest::run_once(UINT32 vp) {
  WHV_RUN_VP_EXIT_CONTEXT exit{};
  EXPECT_EQ(WHvRunVirtualProcessor(handle_, vp, &exit, sizeof exit), S_OK);
  return exit;
}

WHV_RUN_VP_EXIT_CONTEXT Guest::run(UINT32 vp) {
  for (;;) {
    const WHV_RUN_VP_EXIT_CONTEXT exit = run_once(vp);
    const bool means_nothing =
        exit.ExitReason == WHvRunVpExitReasonNone || exit.ExitReason == WHvRunVpExitReasonCanceled;
    if (!means_nothing || has_failed()) return exit;
  }
}

WHV_REGISTER_VALUE Guest::get(WHV_REGISTER_NAME name, UINT32 vp) {
  WHV_REGISTER_VALUE value{};
  EXPECT_EQ(WHvGetVirtualProcessorRegisters(handle_, vp, &name, 1, &value), S_OK)
      << std::hex << name;
  return value;
}

void Guest::set(std::initializer_list<std::pair<WHV_REGISTER_NAME, UINT64>> registers, UINT32 vp) {
  std::vector<WHV_REGISTER_NAME> names;
  std::vector<WHV_REGISTER_VALUE> values;
  for (const auto& [name, value] : registers) {
    names.push_back(name);
    values.push_back(number(value));
  }
  EXPECT_EQ(WHvSetVirtualProcessorRegisters(handle_, vp, names.data(),
                                            static_cast<UINT32>(names.size()), values.data()),
            S_OK);
}

void Guest::complete(const WHV_RUN_VP_EXIT_CONTEXT& exit,
                     std::initializer_list<std::pair<WHV_REGISTER_NAME, UINT64>> registers,
                     UINT32 vp) {
  EXPECT_NE(exit.VpContext.InstructionLength, 0);
  set(registers, vp);
  set({{WHvX64RegisterRip, exit.VpContext.Rip + exit.VpContext.InstructionLength}}, vp);
}

std::uint64_t Guest::read64(std::uint64_t gpa) const {
  std::uint64_t value = 0;
  std::memcpy(&value, ram_.get() + gpa, sizeof value);
  return value;
}

// ---- code ----

Code operator+(Code left, const Code& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

Code wrmsr(std::uint32_t msr, std::uint64_t value) {
  const auto bytes = [](std::uint32_t n) {
    return Code{std::uint8_t(n), std::uint8_t(n >> 8), std::uint8_t(n >> 16),
                std::uint8_t(n >> 24)};
  };
  return Code{0xB9} + bytes(msr) + Code{0xB8} + bytes(std::uint32_t(value)) + Code{0xBA} +
         bytes(std::uint32_t(value >> 32)) + Code{0x0F, 0x30};
}

Code enable_x2apic() {
  return wrmsr(0x1B, 0xFEE00C00) +  // enabled, x2APIC; the BSP bit is read-only
         wrmsr(0x80F, 0x1FF);
}

Code end_of_interrupt() { return wrmsr(0x80B, 0); }

Code out(std::uint8_t port) { return {0xE6, port}; }

Code load_rbx(std::uint64_t value) {
  Code code{0x48, 0xBB};
  for (int i = 0; i < 8; ++i) code.push_back(std::uint8_t(value >> (8 * i)));
  return code;
}

}  // namespace runhv::conformance
