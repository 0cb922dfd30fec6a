// The program that is made of rules, on a machine for as many instructions as it uses.
#include "device_filter.h"

#include <cstring>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace runhv::agent {
namespace {

constexpr std::uint32_t kBlock = BPF_DEVCG_DEV_BLOCK, kCharacter = BPF_DEVCG_DEV_CHAR;
constexpr std::uint32_t kMknod = BPF_DEVCG_ACC_MKNOD, kRead = BPF_DEVCG_ACC_READ,
                        kWrite = BPF_DEVCG_ACC_WRITE;
constexpr std::uint32_t kAll = kMknod | kRead | kWrite;
constexpr std::uint32_t kAny = RUNHV_ANY_DEVICE;

std::uint64_t run(std::span<const bpf_insn> program, const bpf_cgroup_dev_ctx& context) {
  std::uint32_t registers[6] = {};
  for (std::size_t at = 0; at < program.size(); ++at) {
    const bpf_insn& next = program[at];
    std::uint32_t& to = registers[next.dst_reg];
    const auto value = static_cast<std::uint32_t>(next.imm);
    switch (next.code) {
      case BPF_LDX | BPF_MEM | BPF_W:
        std::memcpy(&to, reinterpret_cast<const char*>(&context) + next.off, sizeof to);
        break;
      case BPF_ALU | BPF_MOV | BPF_X:
        to = registers[next.src_reg];
        break;
      case BPF_ALU | BPF_MOV | BPF_K:
        to = value;
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        to &= value;
        break;
      case BPF_ALU | BPF_RSH | BPF_K:
        to >>= value;
        break;
      case BPF_JMP32 | BPF_JNE | BPF_K:
        if (to != value) at += static_cast<std::size_t>(next.off);
        break;
      case BPF_JMP32 | BPF_JEQ | BPF_K:
        if (to == value) at += static_cast<std::size_t>(next.off);
        break;
      case BPF_JMP | BPF_EXIT:
        return registers[0];
      default:
        ADD_FAILURE() << "instruction " << at << " has the code " << int{next.code};
        return 2;
    }
  }
  ADD_FAILURE() << "it has no end";
  return 2;
}

class Rules {
 public:
  explicit Rules(const std::vector<runhv_device_rule>& rules) {
    for (const runhv_device_rule& rule : rules) {
      const runhv_record head = {RUNHV_REC_DEVICE_RULE, 0, sizeof rule};
      records_.append(reinterpret_cast<const char*>(&head), sizeof head);
      records_.append(reinterpret_cast<const char*>(&rule), sizeof rule);
    }
  }
  DeviceFilter filter() const { return DeviceFilter(std::as_bytes(std::span(records_))); }
  bool allow(std::uint32_t type, std::uint32_t access, std::uint32_t major,
             std::uint32_t minor) const {
    return run(filter().program(), {access << 16 | type, major, minor}) == 1;
  }

 private:
  std::string records_;
};

TEST(DeviceFilterTest, TheLastRuleThatIsAboutAnAccessDecides) {
  const Rules rules({{0, kBlock | kCharacter, kAll, kAny, kAny, 0},
                     {1, kCharacter, kAll, 1, kAny, 0},
                     {0, kCharacter, kAll, 1, 11, 0},
                     {1, kBlock, kRead | kMknod, 254, 0, 0}});
  EXPECT_TRUE(rules.allow(kCharacter, kRead | kWrite, 1, 3));
  EXPECT_FALSE(rules.allow(kCharacter, kRead, 1, 11));
  EXPECT_FALSE(rules.allow(kCharacter, kRead, 2, 3));
  EXPECT_FALSE(rules.allow(kBlock, kRead, 1, 3)) << "of another type";
  EXPECT_TRUE(rules.allow(kBlock, kRead, 254, 0));
  EXPECT_TRUE(rules.allow(kBlock, kMknod, 254, 0));
  EXPECT_FALSE(rules.allow(kBlock, kRead | kWrite, 254, 0)) << "it allows a part alone";
  EXPECT_FALSE(rules.allow(kBlock, kRead, 254, 1));
}

TEST(DeviceFilterTest, WhatDeniesAPartDeniesTheWhole) {
  const Rules rules(
      {{1, kBlock | kCharacter, kAll, kAny, kAny, 0}, {0, kCharacter, kWrite, 10, kAny, 0}});
  EXPECT_TRUE(rules.allow(kCharacter, kRead, 10, 1));
  EXPECT_FALSE(rules.allow(kCharacter, kRead | kWrite, 10, 1));
  EXPECT_TRUE(rules.allow(kCharacter, kWrite, 11, 1));
}

TEST(DeviceFilterTest, NothingStandsBehindARuleThatIsAboutAll) {
  const Rules rules(
      {{0, kCharacter, kAll, 1, 1, 0}, {1, kBlock | kCharacter, kAll, kAny, kAny, 0}});
  EXPECT_TRUE(rules.allow(kCharacter, kAll, 1, 1));
  EXPECT_EQ(rules.filter().program().size(), 8u) << "the kernel refuses what is never reached";
}

TEST(DeviceFilterTest, AsManyRulesAsThereMayBeHaveRoom) {
  const Rules rules(
      std::vector<runhv_device_rule>(RUNHV_MAX_DEVICE_RULES, {1, kCharacter, kRead, 7, 7, 0}));
  EXPECT_TRUE(rules.allow(kCharacter, kRead, 7, 7));
  EXPECT_FALSE(rules.allow(kCharacter, kWrite, 7, 7));
}

}  // namespace
}  // namespace runhv::agent
