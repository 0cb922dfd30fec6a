#include "start.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#include <string>
#include <vector>

namespace runhv::agent {
namespace {

template <typename T>
std::string bytes_of(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string text(std::string_view value) { return std::string(value) + '\0'; }

std::string record(std::uint16_t tag, std::string data) {
  const runhv_record header = {tag, 0, static_cast<std::uint32_t>(data.size())};
  data.resize((data.size() + 7) / 8 * 8, '\0');
  return bytes_of(header) + data;
}

std::string root(std::uint32_t flags = 0) {
  return record(RUNHV_REC_ROOT,
                bytes_of(runhv_root{flags, 0, 4096}) + text("erofs") + text("/dev/vda"));
}

std::string smallest() { return record(RUNHV_REC_ARG, text("/bin/true")) + root(); }

struct Parsed {
  explicit Parsed(std::string payload) : bytes(std::move(payload)) {
    ok = parse_start(std::as_bytes(std::span(bytes)), start, error);
  }
  std::string bytes;
  StartRequest start;
  Text<512> error;
  bool ok;
};

std::string error_of(const std::string& payload) {
  const Parsed parsed(payload);
  return parsed.ok ? "accepted" : std::string(parsed.error.view());
}

// What is wrong with a third record, after the two that each request has.
std::string third(std::uint16_t tag, const std::string& data) {
  return error_of(smallest() + record(tag, data));
}

TEST(StartTest, SmallestRequestHasDefaults) {
  const Parsed parsed(smallest());
  ASSERT_TRUE(parsed.ok) << parsed.error.view();
  EXPECT_EQ(parsed.start.argument_count, 1u);
  EXPECT_STREQ(parsed.start.cwd, "/");
  EXPECT_EQ(parsed.start.user.uid, 0u);
  EXPECT_EQ(parsed.start.caps.bounding, 0u);
  EXPECT_STREQ(parsed.start.root_type, "erofs");
  EXPECT_STREQ(parsed.start.root_device, "/dev/vda");
  EXPECT_EQ(parsed.start.root.tmpfs_bytes, 4096u);
  EXPECT_EQ(parsed.start.stdio.stdout_port, 0u);
  EXPECT_TRUE(parsed.start.seccomp_filter.empty());
  EXPECT_TRUE(parsed.start.entropy.empty());
}

TEST(StartTest, EveryRecordArrives) {
  const sock_filter allow = {0x06, 0, 0, 0x7fff0000};
  const std::uint32_t groups[] = {5, 27};
  const Parsed parsed(
      record(RUNHV_REC_ARG, text("sh")) + record(RUNHV_REC_ARG, text("")) +
      record(RUNHV_REC_ENV, text("PATH=/bin")) + record(RUNHV_REC_ENV, text("EMPTY=")) +
      record(RUNHV_REC_CWD, text("/srv")) +
      record(RUNHV_REC_USER, bytes_of(runhv_user{1000, 1001, 077, 0})) +
      record(RUNHV_REC_GROUPS, bytes_of(groups)) +
      record(RUNHV_REC_CAPS, bytes_of(runhv_caps{1, 2, 4, 8, 16})) +
      record(RUNHV_REC_RLIMIT, bytes_of(runhv_rlimit{7, 0, 1024, UINT64_MAX})) +
      record(RUNHV_REC_FLAGS, bytes_of(std::uint32_t{3})) +
      record(RUNHV_REC_NAMESPACES, bytes_of(std::uint32_t{CLONE_NEWPID | CLONE_NEWNS})) +
      record(RUNHV_REC_HOSTNAME, text("web")) + record(RUNHV_REC_DOMAINNAME, text("lan")) +
      root(RUNHV_ROOT_READONLY) +
      record(RUNHV_REC_MOUNT, bytes_of(runhv_mount{14, 0, 0, 0}) + text("/proc") + text("proc") +
                                  text("proc") + text("")) +
      record(RUNHV_REC_DEVICE,
             bytes_of(runhv_device{S_IFCHR | 0600, 10, 229, 1, 2, 0}) + text("/dev/fuse")) +
      record(RUNHV_REC_MASKED, text("/proc/kcore")) + record(RUNHV_REC_READONLY, text("/sys")) +
      record(RUNHV_REC_SECCOMP, bytes_of(std::uint64_t{0}) + bytes_of(allow)) +
      record(RUNHV_REC_STDIO, bytes_of(runhv_stdio{1025, 1026, 1027, 0})) +
      record(RUNHV_REC_SYSCTL, text("net.core.somaxconn") + text("512")) +
      record(RUNHV_REC_OOM_SCORE_ADJ, bytes_of(std::int32_t{-500})) +
      record(RUNHV_REC_CLOCK, bytes_of(std::uint64_t{1'700'000'000'000'000'000})) +
      record(RUNHV_REC_ENTROPY, std::string(32, 'e')));
  ASSERT_TRUE(parsed.ok) << parsed.error.view();
  const StartRequest& start = parsed.start;
  EXPECT_EQ(start.argument_count, 2u);
  EXPECT_EQ(start.environment_count, 2u);
  EXPECT_EQ(start.sysctl_count, 1u);
  EXPECT_STREQ(start.cwd, "/srv");
  EXPECT_EQ(start.user.gid, 1001u);
  EXPECT_EQ(start.groups.size(), 8u);
  EXPECT_EQ(start.caps.ambient, 16u);
  EXPECT_EQ(start.flags, 3u);
  EXPECT_EQ(start.namespaces, unsigned{CLONE_NEWPID | CLONE_NEWNS});
  EXPECT_STREQ(start.hostname, "web");
  EXPECT_STREQ(start.domainname, "lan");
  EXPECT_EQ(start.root.flags, unsigned{RUNHV_ROOT_READONLY});
  EXPECT_EQ(start.seccomp_filter.size(), sizeof allow);
  EXPECT_EQ(start.stdio.stderr_port, 1027u);
  EXPECT_EQ(start.oom_score_adj, -500);
  EXPECT_EQ(start.clock_ns, 1'700'000'000'000'000'000u);
  EXPECT_EQ(start.entropy.size(), 32u);

  std::vector<std::string> arguments;
  for_each(start, RUNHV_REC_ARG, [&](const Record& argument) {
    arguments.emplace_back(argument.text());
    return true;
  });
  EXPECT_EQ(arguments, (std::vector<std::string>{"sh", ""}));
  for_each(start, RUNHV_REC_MOUNT, [](const Record& mount_record) {
    MountRecord mount;
    EXPECT_TRUE(decode(mount_record, mount));
    EXPECT_EQ(mount.how.flags, 14u);
    EXPECT_STREQ(mount.destination, "/proc");
    EXPECT_STREQ(mount.source, "proc");
    EXPECT_STREQ(mount.data, "");
    return true;
  });
  for_each(start, RUNHV_REC_DEVICE, [](const Record& device_record) {
    DeviceRecord device;
    EXPECT_TRUE(decode(device_record, device));
    EXPECT_EQ(device.what.minor, 229u);
    EXPECT_STREQ(device.path, "/dev/fuse");
    return true;
  });
}

TEST(StartTest, RecordsThatBreakTheFormAreNamed) {
  EXPECT_EQ(error_of(smallest() + "1234"), "START: record 3: cut header");
  std::string longer = smallest() + record(RUNHV_REC_CWD, text("/srv"));
  longer.resize(longer.size() - 8);
  EXPECT_EQ(error_of(longer), "START: record 3: longer than the frame");
  const runhv_record huge = {RUNHV_REC_CWD, 0, UINT32_MAX};
  EXPECT_EQ(error_of(smallest() + bytes_of(huge)), "START: record 3: longer than the frame");
  const runhv_record zero = {RUNHV_REC_CWD, 1, 0};
  EXPECT_EQ(error_of(smallest() + bytes_of(zero)),
            "START: record 3: a field that must be zero is not");
  std::string padded = smallest() + record(RUNHV_REC_CWD, text("/srv"));
  padded.back() = 'x';
  EXPECT_EQ(error_of(padded), "START: record 3: padding that is not zero");
  EXPECT_EQ(third(99, ""), "START: record 3: unknown tag");
  EXPECT_EQ(third(0, ""), "START: record 3: unknown tag");
}

TEST(StartTest, WhatIsMissingOrDoubledIsNamed) {
  EXPECT_EQ(error_of(""), "START: no argument");
  EXPECT_EQ(error_of(root()), "START: no argument");
  EXPECT_EQ(error_of(record(RUNHV_REC_ARG, text("a"))), "START: no root");
  EXPECT_EQ(error_of(smallest() + root()), "START: record 3: given twice");
}

TEST(StartTest, StringsEndWithOneNul) {
  for (const std::uint16_t tag : {RUNHV_REC_ARG, RUNHV_REC_HOSTNAME, RUNHV_REC_DOMAINNAME}) {
    EXPECT_EQ(third(tag, ""), "START: record 3: expected a string") << tag;
    EXPECT_EQ(third(tag, "no end"), "START: record 3: expected a string") << tag;
    EXPECT_EQ(third(tag, text("a") + text("b")), "START: record 3: expected a string") << tag;
  }
  EXPECT_EQ(third(RUNHV_REC_ENV, text("NAME")), "START: record 3: expected NAME=value");
  EXPECT_EQ(third(RUNHV_REC_ENV, text("=value")), "START: record 3: expected NAME=value");
  EXPECT_EQ(third(RUNHV_REC_CWD, text("srv")), "START: record 3: expected an absolute path");
  EXPECT_EQ(third(RUNHV_REC_MASKED, text("")), "START: record 3: expected an absolute path");
  EXPECT_EQ(third(RUNHV_REC_READONLY, "/x"), "START: record 3: expected an absolute path");
}

TEST(StartTest, SizesAndRangesAreChecked) {
  const auto number = [](std::uint32_t value) { return bytes_of(value); };
  EXPECT_EQ(third(RUNHV_REC_USER, "short"), "START: record 3: expected struct runhv_user");
  EXPECT_EQ(third(RUNHV_REC_USER, bytes_of(runhv_user{0, 0, 01000, 0})),
            "START: record 3: umask out of range");
  EXPECT_EQ(third(RUNHV_REC_GROUPS, "123"), "START: record 3: expected at most 65536 numbers");
  EXPECT_EQ(third(RUNHV_REC_CAPS, number(1)), "START: record 3: expected struct runhv_caps");
  EXPECT_EQ(third(RUNHV_REC_RLIMIT, bytes_of(runhv_rlimit{16, 0, 1, 1})),
            "START: record 3: resource out of range");
  EXPECT_EQ(third(RUNHV_REC_RLIMIT, bytes_of(runhv_rlimit{0, 0, 2, 1})),
            "START: record 3: soft limit above the hard limit");
  EXPECT_EQ(third(RUNHV_REC_FLAGS, number(4)), "START: record 3: unknown flag");
  EXPECT_EQ(third(RUNHV_REC_NAMESPACES, number(CLONE_VM)), "START: record 3: unknown namespace");
  EXPECT_EQ(third(RUNHV_REC_NAMESPACES, number(CLONE_NEWUSER)),
            "START: record 3: unknown namespace");
  EXPECT_EQ(third(RUNHV_REC_STDIO, bytes_of(runhv_stdio{0, 0, 0, 1})),
            "START: record 3: a field that must be zero is not");
  EXPECT_EQ(third(RUNHV_REC_SECCOMP, bytes_of(std::uint64_t{0})),
            "START: record 3: expected 1 to 4096 instructions");
  EXPECT_EQ(third(RUNHV_REC_SECCOMP, bytes_of(std::uint64_t{0}) + "1234"),
            "START: record 3: expected 1 to 4096 instructions");
  EXPECT_EQ(third(RUNHV_REC_SECCOMP, bytes_of(std::uint64_t{0}) + std::string(4097 * 8, 'x')),
            "START: record 3: expected 1 to 4096 instructions");
  EXPECT_EQ(third(RUNHV_REC_OOM_SCORE_ADJ, number(1001)), "START: record 3: out of range");
  EXPECT_EQ(third(RUNHV_REC_CLOCK, number(1)), "START: record 3: expected nanoseconds");
  EXPECT_EQ(third(RUNHV_REC_ENTROPY, "31"), "START: record 3: expected 32 bytes");
  EXPECT_EQ(third(RUNHV_REC_SYSCTL, text("a") + "b"), "START: record 3: expected 2 strings");
  EXPECT_EQ(third(RUNHV_REC_SYSCTL, text("kernel/../../x") + text("1")),
            "START: record 3: expected a name with dots");
  EXPECT_EQ(third(RUNHV_REC_SYSCTL, text("..a") + text("1")),
            "START: record 3: expected a name with dots");
}

TEST(StartTest, MountsAndDevicesAreChecked) {
  const runhv_mount how = {};
  EXPECT_EQ(third(RUNHV_REC_MOUNT, bytes_of(how) + text("/a") + text("b") + text("c")),
            "START: record 3: expected struct runhv_mount and 4 strings");
  EXPECT_EQ(third(RUNHV_REC_MOUNT, bytes_of(how) + text("a") + text("b") + text("c") + text("d")),
            "START: record 3: expected an absolute destination");
  EXPECT_EQ(third(RUNHV_REC_MOUNT, bytes_of(runhv_mount{0, 0, 4, 0}) + text("/a") + text("b") +
                                       text("c") + text("d")),
            "START: record 3: unknown option");
  EXPECT_EQ(third(RUNHV_REC_DEVICE, bytes_of(runhv_device{S_IFREG, 1, 3, 0, 0, 0}) + text("/d")),
            "START: record 3: expected a character device, a block device or a FIFO");
  EXPECT_EQ(third(RUNHV_REC_DEVICE, bytes_of(runhv_device{S_IFCHR, 4096, 3, 0, 0, 0}) + text("/d")),
            "START: record 3: device number out of range");
  EXPECT_EQ(third(RUNHV_REC_DEVICE, bytes_of(runhv_device{S_IFCHR, 1, 3, 0, 0, 0}) + text("d")),
            "START: record 3: expected an absolute path");
}

}  // namespace
}  // namespace runhv::agent
