#include "container/seccomp.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "container/linux_abi.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runhv::container {
namespace {

constexpr std::uint32_t kX86_64 = 0xc000003e;
constexpr std::uint32_t kI386 = 0x40000003;
constexpr std::uint32_t kAllow = 0x7fff0000;
constexpr std::uint32_t kLog = 0x7ffc0000;
constexpr std::uint32_t kTraceSeven = 0x7ff00007;
constexpr std::uint32_t kEperm = 0x00050001;
constexpr std::uint32_t kEnosys = 0x00050026;
constexpr std::uint32_t kKillProcess = 0x80000000;

struct Call {
  std::uint32_t number;
  std::array<std::uint64_t, 6> arguments{};
  std::uint32_t architecture = kX86_64;
};

// Classic BPF as the kernel runs it on struct seccomp_data; nullopt where the program is not one
// that the kernel would take (a jump or a load out of bounds, no return).
std::optional<std::uint32_t> run(const std::vector<BpfInstruction>& program, const Call& call) {
  std::array<std::uint32_t, 16> data{};
  data[0] = call.number;
  data[1] = call.architecture;
  std::memcpy(&data[4], call.arguments.data(), sizeof call.arguments);
  std::uint32_t a = 0;
  for (std::size_t pc = 0; pc < program.size(); ++pc) {
    const BpfInstruction& i = program[pc];
    switch (i.code) {
      case 0x20:
        if (i.k % 4 != 0 || i.k / 4 >= data.size()) return std::nullopt;
        a = data[i.k / 4];
        break;
      case 0x54:
        a &= i.k;
        break;
      case 0x05:
        pc += i.k;
        break;
      case 0x15:
        pc += a == i.k ? i.jump_true : i.jump_false;
        break;
      case 0x25:
        pc += a > i.k ? i.jump_true : i.jump_false;
        break;
      case 0x35:
        pc += a >= i.k ? i.jump_true : i.jump_false;
        break;
      case 0x06:
        return i.k;
      default:
        return std::nullopt;
    }
  }
  return std::nullopt;
}

std::uint32_t nr(std::string_view name) {
  return linux_abi::find_syscall(linux_abi::Architecture::kX86_64, name).value();
}

std::uint32_t nr32(std::string_view name) {
  return linux_abi::find_syscall(linux_abi::Architecture::kI386, name).value();
}

Result<SeccompFilter> compile(const std::string& json) {
  auto reader = JsonReader::parse(json, "read seccomp");
  if (!reader) return Fail{reader.error()};
  SeccompFilter filter = compile_seccomp((*reader)->root());
  if ((*reader)->error()) return Fail{*(*reader)->error()};
  return filter;
}

std::vector<BpfInstruction> program(const std::string& json) {
  const auto filter = compile(json);
  EXPECT_TRUE(filter) << to_string(filter.error());
  return filter ? filter->program : std::vector<BpfInstruction>{};
}

TEST(Seccomp, NamedCallsGetTheirActionAndOthersTheDefault) {
  const auto filter = program(R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
      {"names":["read","write","no_such_call","statx"],"action":"SCMP_ACT_ALLOW"},
      {"names":["ptrace"],"action":"SCMP_ACT_LOG"},
      {"names":["reboot"],"action":"SCMP_ACT_TRACE","errnoRet":7},
      {"names":["mount"],"action":"SCMP_ACT_ERRNO","errnoRet":2}]})");
  EXPECT_EQ(run(filter, {nr("read")}), kAllow);
  EXPECT_EQ(run(filter, {nr("write")}), kAllow);
  EXPECT_EQ(run(filter, {nr("statx")}), kAllow);
  EXPECT_EQ(run(filter, {nr("ptrace")}), kLog);
  EXPECT_EQ(run(filter, {nr("reboot")}), kTraceSeven);
  EXPECT_EQ(run(filter, {nr("mount")}), 0x00050002u);
  EXPECT_EQ(run(filter, {nr("open")}), kEperm);
}

TEST(Seccomp, CallsNewerThanTheProfileAreAbsentInsteadOfForbidden) {
  const auto filter = program(
      R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["openat2"],"action":"SCMP_ACT_ALLOW"}]})");
  EXPECT_EQ(run(filter, {nr("openat2")}), kAllow);
  EXPECT_EQ(run(filter, {nr("openat2") + 1}), kEnosys);
  EXPECT_EQ(run(filter, {nr("clone3")}), kEperm);
}

TEST(Seccomp, OtherArchitecturesAndX32AreKilled) {
  const auto filter = program(R"({"defaultAction":"SCMP_ACT_ALLOW",
      "architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X32"]})");
  EXPECT_EQ(run(filter, {nr("read")}), kAllow);
  EXPECT_EQ(run(filter, {nr("read"), {}, kI386}), kKillProcess);
  EXPECT_EQ(run(filter, {0x40000000u | nr("read")}), kKillProcess);
  EXPECT_EQ(run(filter, {0xffffffffu}), kKillProcess);
}

TEST(Seccomp, ProgramsOf32BitsMeetTheProfileWhereItIsForThem) {
  EXPECT_EQ(nr32("read"), 3u);
  EXPECT_EQ(nr32("socketcall"), 102u);
  const auto filter = program(R"({"defaultAction":"SCMP_ACT_ERRNO",
      "architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],"syscalls":[
      {"names":["read","socketcall","statx"],"action":"SCMP_ACT_ALLOW"},
      {"names":["personality"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":8,"op":"SCMP_CMP_EQ"}]}]})");
  EXPECT_EQ(run(filter, {nr32("read"), {}, kI386}), kAllow);
  EXPECT_EQ(run(filter, {nr32("socketcall"), {}, kI386}), kAllow);
  EXPECT_EQ(run(filter, {nr32("personality"), {8}, kI386}), kLog);
  EXPECT_EQ(run(filter, {nr32("personality"), {4}, kI386}), kEperm);
  EXPECT_EQ(run(filter, {nr32("write"), {}, kI386}), kEperm);
  EXPECT_EQ(run(filter, {nr32("statx") + 1, {}, kI386}), kEnosys);
  EXPECT_EQ(run(filter, {0x40000000u | nr32("read"), {}, kI386}), kEnosys);
  // A number means another call there, and the other numbers are decided as before.
  EXPECT_EQ(run(filter, {nr32("read")}), kEperm);
  EXPECT_EQ(run(filter, {nr("read")}), kAllow);
  EXPECT_EQ(run(filter, {0x40000000u | nr("read")}), kKillProcess);
  EXPECT_EQ(run(filter, {nr("read"), {}, 0xc00000b7}), kKillProcess);  // AArch64
}

TEST(Seccomp, ComparesAll64BitsOfAnArgument) {
  constexpr std::uint64_t kPivot = 0x1'0000'0005;
  constexpr std::uint64_t kProbes[] = {0,          5,      6,          0xffff'ffff,   0x1'0000'0000,
                                       kPivot - 1, kPivot, kPivot + 1, 0x2'0000'0005, 0x2'0000'0000,
                                       UINT64_MAX};
  struct Operator {
    const char* name;
    bool (*holds)(std::uint64_t);
  };
  const Operator operators[] = {
      {"EQ", [](std::uint64_t x) { return x == kPivot; }},
      {"NE", [](std::uint64_t x) { return x != kPivot; }},
      {"LT", [](std::uint64_t x) { return x < kPivot; }},
      {"LE", [](std::uint64_t x) { return x <= kPivot; }},
      {"GT", [](std::uint64_t x) { return x > kPivot; }},
      {"GE", [](std::uint64_t x) { return x >= kPivot; }},
  };
  for (const Operator& op : operators) {
    for (std::uint32_t index = 0; index < 6; ++index) {
      const auto filter = program(
          R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["ioctl"],"action":"SCMP_ACT_ALLOW",
              "args":[{"index":)" +
          std::to_string(index) + R"(,"value":)" + std::to_string(kPivot) + R"(,"op":"SCMP_CMP_)" +
          op.name + R"("}]}]})");
      for (const std::uint64_t probe : kProbes) {
        Call call{nr("ioctl")};
        call.arguments[index] = probe;
        EXPECT_EQ(run(filter, call), op.holds(probe) ? kAllow : kEperm)
            << op.name << " argument " << index << " = " << probe;
      }
    }
  }
}

TEST(Seccomp, MaskedEqualLooksAtTheMaskedBitsOnly) {
  const auto filter = program(R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
      {"names":["clone"],"action":"SCMP_ACT_ALLOW","args":[
        {"index":0,"value":2114060288,"valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"}]}]})");
  EXPECT_EQ(run(filter, {nr("clone"), {0x00000f00}}), kAllow);
  EXPECT_EQ(run(filter, {nr("clone"), {0x20000000}}), kEperm);
  EXPECT_EQ(run(filter, {nr("clone"), {0xffffffff'00000011}}), kAllow);
}

TEST(Seccomp, ArgumentsOfOneRuleMustAllMatchAndRulesAreAlternatives) {
  const auto filter = program(R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
      {"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[
        {"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":1,"value":2,"op":"SCMP_CMP_NE"}]},
      {"names":["socket"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":3,"op":"SCMP_CMP_EQ"}]},
      {"names":["personality"],"action":"SCMP_ACT_ALLOW","args":[
        {"index":0,"value":0,"op":"SCMP_CMP_EQ"},{"index":0,"value":8,"op":"SCMP_CMP_EQ"}]}]})");
  EXPECT_EQ(run(filter, {nr("socket"), {1, 1}}), kAllow);
  EXPECT_EQ(run(filter, {nr("socket"), {1, 2}}), kEperm);
  EXPECT_EQ(run(filter, {nr("socket"), {3, 2}}), kLog);
  EXPECT_EQ(run(filter, {nr("personality"), {0}}), kAllow);
  EXPECT_EQ(run(filter, {nr("personality"), {8}}), kAllow);
  EXPECT_EQ(run(filter, {nr("personality"), {4}}), kEperm);
}

TEST(Seccomp, ARuleWithoutArgumentsDecidesAlone) {
  const auto filter = program(R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
      {"names":["ioctl"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]},
      {"names":["ioctl"],"action":"SCMP_ACT_ALLOW"},
      {"names":["ioctl"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":2,"op":"SCMP_CMP_EQ"}]}]})");
  for (const std::uint64_t value : {0, 1, 2}) {
    EXPECT_EQ(run(filter, {nr("ioctl"), {value}}), kAllow);
  }
}

TEST(Seccomp, EveryNumberIsDecidedAlsoWhereHalvesAreFarApart) {
  // Conditional rules make the tree long enough for jumps beyond eight bits.
  std::string rules;
  const char* const kNames[] = {"read", "open", "stat", "lstat", "lseek", "mprotect", "ioctl"};
  for (const char* name : kNames) {
    for (int index = 0; index < 6; ++index) {
      rules += std::string(rules.empty() ? "" : ",") + R"({"names":[")" + name +
               R"("],"action":"SCMP_ACT_ALLOW","args":[{"index":)" + std::to_string(index) +
               R"(,"value":77,"op":"SCMP_CMP_GT"}]})";
    }
  }
  const auto filter = program(R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[)" + rules + "]}");
  EXPECT_GT(filter.size(), 256u);
  for (std::uint32_t number = 0; number < 600; ++number) {
    const bool named =
        std::ranges::any_of(kNames, [&](const char* name) { return nr(name) == number; });
    const std::uint32_t other = number > nr("ioctl") ? kEnosys : kEperm;
    EXPECT_EQ(run(filter, {number}), other) << number;
    EXPECT_EQ(run(filter, {number, {0, 0, 0, 0, 0, 78}}), named ? kAllow : other) << number;
  }
}

TEST(Seccomp, TheNativeArchitectureIsAlwaysOneOfThem) {
  const auto filter =
      program(R"({"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86"]})");
  EXPECT_EQ(run(filter, {nr("read")}), kEperm);
}

TEST(Seccomp, ComplaintsNameThePath) {
  const auto complaint = [](const std::string& json) {
    const auto filter = compile(json);
    return filter ? "accepted" : filter.error().detail;
  };
  EXPECT_EQ(complaint("{}"), "defaultAction: missing; expected a SCMP_ACT_ action");
  EXPECT_EQ(complaint(R"({"defaultAction":"SCMP_ACT_NOTIFY"})"),
            "defaultAction: the action SCMP_ACT_NOTIFY is not in this version");
  EXPECT_EQ(complaint(R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":["ARM"]})"),
            "architectures[0]: unknown architecture ARM");
  EXPECT_EQ(complaint(R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],
              "action":"SCMP_ACT_ERRNO","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}]})"),
            "syscalls[0].args[0].index: expected an integer from 0 to 5");
}

}  // namespace
}  // namespace runhv::container
