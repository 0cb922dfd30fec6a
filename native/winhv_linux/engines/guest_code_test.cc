#include "winhv_linux/engines/guest_code.h"

#include <cstring>
#include <vector>

#include "gtest/gtest.h"

namespace runhv::winhv_linux {
namespace {

constexpr UINT64 kEnd = 0x2000;  // where the processor is
constexpr UINT64 kMmio = 0xD0000000;

class Memory final : public PhysicalMemory {
 public:
  bool read(UINT64 gpa, std::span<std::byte> to) const override {
    if (gpa > bytes_.size() || to.size() > bytes_.size() - gpa) return false;
    std::memcpy(to.data(), bytes_.data() + gpa, to.size());
    return true;
  }
  void put(UINT64 gpa, std::initializer_list<int> code) {
    for (const int byte : code) bytes_[gpa++] = static_cast<std::byte>(byte);
  }

 private:
  std::vector<std::byte> bytes_ = std::vector<std::byte>(0x3000);
};

// A processor without paging, of 32-bit code.
class GuestCodeTest : public ::testing::Test {
 protected:
  GuestCodeTest() { registers_.sregs.cs.db = 1; }

  void code_before_end(std::initializer_list<int> code) { memory_.put(kEnd - code.size(), code); }
  std::optional<UINT32> store(UINT64 gpa, std::initializer_list<int> data) {
    std::vector<std::byte> bytes;
    for (const int byte : data) bytes.push_back(static_cast<std::byte>(byte));
    return code_.store_before(kEnd, {gpa, bytes});
  }

  kvm_sync_regs registers_{};
  PagingState paging_{};
  Memory memory_;
  GuestCode code_{registers_, paging_, memory_};
};

TEST_F(GuestCodeTest, FindsTheStoreThatWrote) {
  code_before_end({0x90, 0x90, 0x89, 0x43, 0x10});  // mov [ebx + 16], eax
  registers_.regs.rbx = kMmio;
  registers_.regs.rax = 0x44332211;
  EXPECT_EQ(store(kMmio + 16, {0x11, 0x22, 0x33, 0x44}), 3u);
}

TEST_F(GuestCodeTest, AnotherAddressOrValueIsAnotherStore) {
  code_before_end({0x90, 0x90, 0x89, 0x43, 0x10});
  registers_.regs.rbx = kMmio;
  registers_.regs.rax = 0x44332211;
  EXPECT_EQ(store(kMmio + 20, {0x11, 0x22, 0x33, 0x44}), std::nullopt);
  EXPECT_EQ(store(kMmio + 16, {0x11, 0x22, 0x33, 0x45}), std::nullopt);
  EXPECT_EQ(store(kMmio + 16, {0x11, 0x22, 0x33, 0x44, 0}), std::nullopt);
}

TEST_F(GuestCodeTest, ImmediatesAndHighBytesAreValuesToo) {
  code_before_end({0xC6, 0x03, 0x7F});  // mov byte [ebx], 0x7F
  registers_.regs.rbx = kMmio;
  EXPECT_EQ(store(kMmio, {0x7F}), 3u);
  code_before_end({0x90, 0x88, 0x23});  // mov [ebx], ah
  registers_.regs.rax = 0x5600;
  EXPECT_EQ(store(kMmio, {0x56}), 2u);
}

TEST_F(GuestCodeTest, LoadsAndWhatReadsFirstAreNoStores) {
  registers_.regs.rbx = kMmio;
  code_before_end({0x90, 0x8B, 0x03});  // mov eax, [ebx]
  EXPECT_EQ(store(kMmio, {0, 0, 0, 0}), std::nullopt);
  code_before_end({0x90, 0x01, 0x03});  // add [ebx], eax
  EXPECT_EQ(store(kMmio, {0, 0, 0, 0}), std::nullopt);
}

TEST_F(GuestCodeTest, ThePartMayBeThatOfTheSecondPage) {
  code_before_end({0x90, 0x89, 0x03});  // mov [ebx], eax
  registers_.regs.rbx = kMmio - 1;
  registers_.regs.rax = 0x44332211;
  EXPECT_EQ(store(kMmio, {0x22, 0x33, 0x44}), 2u);
  EXPECT_EQ(store(kMmio, {0x11, 0x22, 0x33}), std::nullopt);
}

TEST_F(GuestCodeTest, PortInstructionsHaveTheirPortAndSize) {
  registers_.regs.rdx = 0x1003F8;  // DX is 0x3F8
  memory_.put(kEnd, {0x66, 0xEF});
  const auto word = code_.port_at(kEnd, {.port = 0x3F8, .size = 2, .is_write = true});
  ASSERT_TRUE(word);
  EXPECT_EQ(word->length, 2u);
  EXPECT_FALSE(word->is_string);
  EXPECT_FALSE(code_.port_at(kEnd, {.port = 0x3F9, .size = 2, .is_write = true}));
  EXPECT_FALSE(code_.port_at(kEnd, {.port = 0x3F8, .size = 4, .is_write = true}));
  EXPECT_FALSE(code_.port_at(kEnd, {.port = 0x3F8, .size = 2, .is_write = false}));

  memory_.put(kEnd, {0xE4, 0x71});
  const auto immediate = code_.port_at(kEnd, {.port = 0x71, .size = 1, .is_write = false});
  ASSERT_TRUE(immediate);
  EXPECT_EQ(immediate->length, 2u);

  memory_.put(kEnd, {0xF3, 0x6E});
  const auto string = code_.port_at(kEnd, {.port = 0x3F8, .size = 1, .is_write = true});
  ASSERT_TRUE(string);
  EXPECT_TRUE(string->is_string);
  EXPECT_TRUE(string->has_rep);
}

TEST_F(GuestCodeTest, PortInstructionBehindTheProcessorIsFound) {
  registers_.regs.rdx = 0x3F8;
  code_before_end({0x90, 0x66, 0xEF});
  const PortAccess access{.port = 0x3F8, .size = 2, .is_write = true};
  ASSERT_TRUE(code_.port_before(kEnd, access));
  EXPECT_EQ(code_.port_before(kEnd, access)->length, 2u);
  code_before_end({0x90, 0x90, 0x90});
  EXPECT_FALSE(code_.port_before(kEnd, access));
}

TEST_F(GuestCodeTest, FetchEndsWhereMemoryDoes) {
  std::array<std::byte, 16> bytes{};
  EXPECT_EQ(code_.fetch(0x1FF8, bytes), 16u);
  EXPECT_EQ(code_.fetch(0x2FF8, bytes), 8u);
  EXPECT_EQ(code_.fetch(0x3000, bytes), 0u);
}

}  // namespace
}  // namespace runhv::winhv_linux
