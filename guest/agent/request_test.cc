#include "request.h"

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
  return record(RUNHV_REC_ROOT, bytes_of(runhv_root{flags, 0}) + text("erofs") + text("/dev/vda"));
}

std::string program() { return record(RUNHV_REC_ARG, text("/bin/true")); }

template <typename Request>
struct Parsed {
  explicit Parsed(std::string payload) : bytes(std::move(payload)) {
    ok = parse(std::as_bytes(std::span(bytes)), request, error);
  }
  std::string bytes;
  Request request;
  Text<512> error;
  bool ok;
};
using Container = Parsed<ContainerRequest>;
using Process = Parsed<ProcessRequest>;

template <typename P>
std::string error_of(const std::string& payload) {
  const P parsed(payload);
  return parsed.ok ? "accepted" : std::string(parsed.error.view());
}

// What is wrong with a second record, after the one that each request has.
std::string container_with(std::uint16_t tag, const std::string& data) {
  return error_of<Container>(root() + record(tag, data));
}
std::string process_with(std::uint16_t tag, const std::string& data) {
  return error_of<Process>(program() + record(tag, data));
}

TEST(RequestTest, ANetworkHasSlotsMessagesAndAResolver) {
  const auto network = [](std::uint16_t tag, const std::string& data) {
    return error_of<Parsed<NetworkRequest>>(record(tag, data));
  };
  const auto slot = [&](runhv_network_slot value) {
    return network(RUNHV_REC_NETWORK_SLOT, bytes_of(value));
  };
  EXPECT_EQ(slot({7, 9, 1, 0}), "accepted");
  EXPECT_EQ(slot({8, 9, 1, 0}), "NETWORK: record 1: interface out of range");
  EXPECT_EQ(slot({7, 9, 2, 0}), "NETWORK: record 1: neither there nor gone");
  EXPECT_EQ(slot({7, 9, 0, 1}), "NETWORK: record 1: a field that must be zero is not");
  EXPECT_EQ(network(RUNHV_REC_NETWORK_SLOT, "short"),
            "NETWORK: record 1: expected struct runhv_network_slot");
  EXPECT_EQ(network(RUNHV_REC_RESOLVER, bytes_of(runhv_resolver{{127, 0, 0, 11}, 53, 0})),
            "accepted");
  EXPECT_EQ(network(RUNHV_REC_HOSTNAME, text("web")), "NETWORK: record 1: unknown tag");
  EXPECT_EQ(container_with(RUNHV_REC_NETWORK_SLOT, bytes_of(runhv_network_slot{0, 1, 1, 0})),
            "CONTAINER: record 2: unknown tag");
}

TEST(RequestTest, AResolverIsAnAddressAndAPortOnce) {
  const runhv_resolver resolver = {{127, 0, 0, 11}, 53, 0};
  const std::string data = bytes_of(resolver);
  const Container parsed(root() + record(RUNHV_REC_RESOLVER, data));
  ASSERT_TRUE(parsed.ok && parsed.request.has_resolver);
  EXPECT_EQ(parsed.request.resolver.address[3], 11);
  EXPECT_EQ(parsed.request.resolver.port, 53);
  EXPECT_EQ(container_with(RUNHV_REC_RESOLVER, data + "x"),
            "CONTAINER: record 2: expected struct runhv_resolver");
  EXPECT_EQ(container_with(RUNHV_REC_RESOLVER, bytes_of(runhv_resolver{{127, 0, 0, 11}, 53, 1})),
            "CONTAINER: record 2: a field that must be zero is not");
  EXPECT_EQ(error_of<Container>(root() + record(RUNHV_REC_RESOLVER, data) +
                                record(RUNHV_REC_RESOLVER, data)),
            "CONTAINER: record 3: given twice");
}

TEST(RequestTest, RefusesANetlinkMessageThatDoesNotFit) {
  const auto with = [](runhv_netlink head, const std::string& message = std::string(32, 'm')) {
    return container_with(RUNHV_REC_NETLINK, bytes_of(head) + message + text("set up eth0"));
  };
  EXPECT_EQ(with({7, 28, 32, 0}), "accepted");
  const std::string form =
      "CONTAINER: record 2: expected struct runhv_netlink, a message and a string";
  EXPECT_EQ(with({0, 29, 32, 0}), form) << "the index behind the message";
  EXPECT_EQ(with({0, UINT32_MAX, 32, 0}), form);
  EXPECT_EQ(with({0, 0, 44, 0}), form) << "no string is left";
  EXPECT_EQ(with({0, 0, UINT32_MAX - 3, 0}), form);
  EXPECT_EQ(with({0, 0, 0, 0}, ""), form);
  EXPECT_EQ(with({0, 0, 30, 0}, std::string(30, 'm')), form);
  EXPECT_EQ(with({8, 0, 32, 0}), "CONTAINER: record 2: interface out of range");
  EXPECT_EQ(with({0, 0, 32, 1}), "CONTAINER: record 2: a field that must be zero is not");
}

TEST(RequestTest, SharesAreKnownByTheRootOrAMount) {
  EXPECT_FALSE(Container(root()).request.has_shares);
  EXPECT_TRUE(Container(root(RUNHV_ROOT_SHARE)).request.has_shares);
  const runhv_mount share{0, 0, RUNHV_MOUNT_SHARE, 0};
  const Container bound(root() + record(RUNHV_REC_MOUNT, bytes_of(share) + text("/a") +
                                                             text("bind") + text("/1") + text("")));
  ASSERT_TRUE(bound.ok) << bound.error.view();
  EXPECT_TRUE(bound.request.has_shares);
}

TEST(RequestTest, SmallestRequestsHaveDefaults) {
  const Container container(root());
  ASSERT_TRUE(container.ok) << container.error.view();
  EXPECT_STREQ(container.request.root_type, "erofs");
  EXPECT_STREQ(container.request.root_device, "/dev/vda");
  EXPECT_TRUE(container.request.entropy.empty());
  const Process process(program());
  ASSERT_TRUE(process.ok) << process.error.view();
  EXPECT_EQ(process.request.argument_count, 1u);
  EXPECT_STREQ(process.request.cwd, "/");
  EXPECT_EQ(process.request.user.uid, 0u);
  EXPECT_EQ(process.request.caps.bounding, 0u);
  EXPECT_EQ(process.request.stdio.stdout_port, 0u);
  EXPECT_FALSE(process.request.wants_terminal());
  EXPECT_TRUE(process.request.seccomp_filter.empty());
}

TEST(RequestTest, EveryRecordOfAProcessArrives) {
  const sock_filter allow = {0x06, 0, 0, 0x7fff0000};
  const std::uint32_t groups[] = {5, 27};
  const Process parsed(
      record(RUNHV_REC_ARG, text("sh")) + record(RUNHV_REC_ARG, text("")) +
      record(RUNHV_REC_ENV, text("PATH=/bin")) + record(RUNHV_REC_ENV, text("EMPTY=")) +
      record(RUNHV_REC_CWD, text("/srv")) +
      record(RUNHV_REC_USER, bytes_of(runhv_user{1000, 1001, 077, 0})) +
      record(RUNHV_REC_GROUPS, bytes_of(groups)) +
      record(RUNHV_REC_CAPS, bytes_of(runhv_caps{1, 2, 4, 8, 16})) +
      record(RUNHV_REC_RLIMIT, bytes_of(runhv_rlimit{7, 0, 1024, UINT64_MAX})) +
      record(RUNHV_REC_FLAGS, bytes_of(std::uint32_t{3})) +
      record(RUNHV_REC_SECCOMP, bytes_of(std::uint64_t{0}) + bytes_of(allow)) +
      record(RUNHV_REC_STDIO, bytes_of(runhv_stdio{1025, 1026, 1027, 0, 0, 0, 0})) +
      record(RUNHV_REC_OOM_SCORE_ADJ, bytes_of(std::int32_t{-500})));
  ASSERT_TRUE(parsed.ok) << parsed.error.view();
  const ProcessRequest& process = parsed.request;
  EXPECT_EQ(process.argument_count, 2u);
  EXPECT_EQ(process.environment_count, 2u);
  EXPECT_STREQ(process.cwd, "/srv");
  EXPECT_EQ(process.user.gid, 1001u);
  EXPECT_EQ(process.groups.size(), 8u);
  EXPECT_EQ(process.caps.ambient, 16u);
  EXPECT_EQ(process.flags, 3u);
  EXPECT_EQ(process.seccomp_filter.size(), sizeof allow);
  EXPECT_EQ(process.stdio.stderr_port, 1027u);
  EXPECT_EQ(process.oom_score_adj, -500);
  std::vector<std::string> arguments;
  for_each(process.records, RUNHV_REC_ARG, [&](const Record& argument) {
    arguments.emplace_back(argument.text());
    return true;
  });
  EXPECT_EQ(arguments, (std::vector<std::string>{"sh", ""}));
}

TEST(RequestTest, EveryRecordOfAContainerArrives) {
  const Container parsed(
      record(RUNHV_REC_NAMESPACES, bytes_of(std::uint32_t{CLONE_NEWPID | CLONE_NEWNS})) +
      record(RUNHV_REC_HOSTNAME, text("web")) + record(RUNHV_REC_DOMAINNAME, text("lan")) +
      root(RUNHV_ROOT_READONLY) +
      record(RUNHV_REC_MOUNT, bytes_of(runhv_mount{14, 0, 0, 0}) + text("/proc") + text("proc") +
                                  text("proc") + text("")) +
      record(RUNHV_REC_DEVICE,
             bytes_of(runhv_device{S_IFCHR | 0600, 10, 229, 1, 2, 0}) + text("/dev/fuse")) +
      record(RUNHV_REC_MASKED, text("/proc/kcore")) + record(RUNHV_REC_READONLY, text("/sys")) +
      record(RUNHV_REC_SYSCTL, text("net.core.somaxconn") + text("512")) +
      record(RUNHV_REC_FILE, bytes_of(runhv_file{S_IFREG | 0644, RUNHV_FILE_IF_MISSING}) +
                                 text("/etc/hosts") + text("127.0.0.1 localhost\n")) +
      record(RUNHV_REC_CLOCK, bytes_of(std::uint64_t{1'700'000'000'000'000'000})) +
      record(RUNHV_REC_ENTROPY, std::string(32, 'e')));
  ASSERT_TRUE(parsed.ok) << parsed.error.view();
  const ContainerRequest& container = parsed.request;
  EXPECT_EQ(container.sysctl_count, 1u);
  EXPECT_EQ(container.namespaces, unsigned{CLONE_NEWPID | CLONE_NEWNS});
  EXPECT_STREQ(container.hostname, "web");
  EXPECT_STREQ(container.domainname, "lan");
  EXPECT_EQ(container.root.flags, unsigned{RUNHV_ROOT_READONLY});
  EXPECT_EQ(container.clock_ns, 1'700'000'000'000'000'000u);
  EXPECT_EQ(container.entropy.size(), 32u);
  for_each(container.records, RUNHV_REC_MOUNT, [](const Record& mount_record) {
    MountRecord mount;
    EXPECT_TRUE(decode(mount_record, mount));
    EXPECT_EQ(mount.how.flags, 14u);
    EXPECT_STREQ(mount.destination, "/proc");
    EXPECT_STREQ(mount.source, "proc");
    EXPECT_STREQ(mount.data, "");
    return true;
  });
  for_each(container.records, RUNHV_REC_DEVICE, [](const Record& device_record) {
    DeviceRecord device;
    EXPECT_TRUE(decode(device_record, device));
    EXPECT_EQ(device.what.minor, 229u);
    EXPECT_STREQ(device.path, "/dev/fuse");
    return true;
  });
  for_each(container.records, RUNHV_REC_FILE, [](const Record& file_record) {
    FileRecord file;
    EXPECT_TRUE(decode(file_record, file));
    EXPECT_EQ(file.what.flags, unsigned{RUNHV_FILE_IF_MISSING});
    EXPECT_STREQ(file.path, "/etc/hosts");
    EXPECT_STREQ(file.content, "127.0.0.1 localhost\n");
    return true;
  });
}

TEST(RequestTest, RecordsThatBreakTheFormAreNamed) {
  EXPECT_EQ(error_of<Process>(program() + "1234"), "PREPARE: record 2: cut header");
  std::string longer = program() + record(RUNHV_REC_CWD, text("/srv"));
  longer.resize(longer.size() - 8);
  EXPECT_EQ(error_of<Process>(longer), "PREPARE: record 2: longer than the frame");
  const runhv_record huge = {RUNHV_REC_CWD, 0, UINT32_MAX};
  EXPECT_EQ(error_of<Process>(program() + bytes_of(huge)),
            "PREPARE: record 2: longer than the frame");
  const runhv_record zero = {RUNHV_REC_CWD, 1, 0};
  EXPECT_EQ(error_of<Process>(program() + bytes_of(zero)),
            "PREPARE: record 2: a field that must be zero is not");
  std::string padded = program() + record(RUNHV_REC_CWD, text("/srv"));
  padded.back() = 'x';
  EXPECT_EQ(error_of<Process>(padded), "PREPARE: record 2: padding that is not zero");
  EXPECT_EQ(process_with(99, ""), "PREPARE: record 2: unknown tag");
  EXPECT_EQ(process_with(0, ""), "PREPARE: record 2: unknown tag");
}

TEST(RequestTest, ARecordStandsInItsOwnMessageOnly) {
  EXPECT_EQ(process_with(RUNHV_REC_HOSTNAME, text("a")), "PREPARE: record 2: unknown tag");
  EXPECT_EQ(container_with(RUNHV_REC_ARG, text("a")), "CONTAINER: record 2: unknown tag");
}

TEST(RequestTest, WhatIsMissingOrDoubledIsNamed) {
  EXPECT_EQ(error_of<Process>(""), "PREPARE: no argument");
  EXPECT_EQ(error_of<Container>(""), "CONTAINER: no root");
  EXPECT_EQ(error_of<Container>(root() + root()), "CONTAINER: record 2: given twice");
}

TEST(RequestTest, StringsEndWithOneNul) {
  for (const std::uint16_t tag : {RUNHV_REC_HOSTNAME, RUNHV_REC_DOMAINNAME}) {
    EXPECT_EQ(container_with(tag, ""), "CONTAINER: record 2: expected a string") << tag;
    EXPECT_EQ(container_with(tag, "no end"), "CONTAINER: record 2: expected a string") << tag;
    EXPECT_EQ(container_with(tag, text("a") + text("b")), "CONTAINER: record 2: expected a string");
  }
  EXPECT_EQ(process_with(RUNHV_REC_ARG, "no end"), "PREPARE: record 2: expected a string");
  EXPECT_EQ(process_with(RUNHV_REC_ENV, text("NAME")), "PREPARE: record 2: expected NAME=value");
  EXPECT_EQ(process_with(RUNHV_REC_ENV, text("=value")), "PREPARE: record 2: expected NAME=value");
  EXPECT_EQ(process_with(RUNHV_REC_CWD, text("srv")),
            "PREPARE: record 2: expected an absolute path");
  EXPECT_EQ(container_with(RUNHV_REC_MASKED, text("")),
            "CONTAINER: record 2: expected an absolute path");
  EXPECT_EQ(container_with(RUNHV_REC_READONLY, "/x"),
            "CONTAINER: record 2: expected an absolute path");
}

TEST(RequestTest, SizesAndRangesOfAProcessAreChecked) {
  const auto number = [](std::uint32_t value) { return bytes_of(value); };
  EXPECT_EQ(process_with(RUNHV_REC_USER, "short"), "PREPARE: record 2: expected struct runhv_user");
  EXPECT_EQ(process_with(RUNHV_REC_USER, bytes_of(runhv_user{0, 0, 01000, 0})),
            "PREPARE: record 2: umask out of range");
  EXPECT_EQ(process_with(RUNHV_REC_GROUPS, "123"),
            "PREPARE: record 2: expected at most 65536 numbers");
  EXPECT_EQ(process_with(RUNHV_REC_CAPS, number(1)),
            "PREPARE: record 2: expected struct runhv_caps");
  EXPECT_EQ(process_with(RUNHV_REC_RLIMIT, bytes_of(runhv_rlimit{16, 0, 1, 1})),
            "PREPARE: record 2: resource out of range");
  EXPECT_EQ(process_with(RUNHV_REC_RLIMIT, bytes_of(runhv_rlimit{0, 0, 2, 1})),
            "PREPARE: record 2: soft limit above the hard limit");
  EXPECT_EQ(process_with(RUNHV_REC_FLAGS, number(8)), "PREPARE: record 2: unknown flag");
  EXPECT_EQ(process_with(RUNHV_REC_STDIO, bytes_of(runhv_stdio{0, 0, 0, 0, 0, 0, 1})),
            "PREPARE: record 2: a field that must be zero is not");
  EXPECT_EQ(process_with(RUNHV_REC_STDIO, bytes_of(runhv_stdio{0, 0, 0, 2, 0, 0, 0})),
            "PREPARE: record 2: unknown flag");
  EXPECT_EQ(process_with(RUNHV_REC_STDIO,
                         bytes_of(runhv_stdio{1025, 1026, 0, RUNHV_STDIO_TERMINAL, 80, 24, 0})),
            "PREPARE: record 2: expected one port for a terminal");
  EXPECT_EQ(process_with(RUNHV_REC_SECCOMP, bytes_of(std::uint64_t{0})),
            "PREPARE: record 2: expected 1 to 4096 instructions");
  EXPECT_EQ(process_with(RUNHV_REC_SECCOMP, bytes_of(std::uint64_t{0}) + "1234"),
            "PREPARE: record 2: expected 1 to 4096 instructions");
  EXPECT_EQ(
      process_with(RUNHV_REC_SECCOMP, bytes_of(std::uint64_t{0}) + std::string(4097 * 8, 'x')),
      "PREPARE: record 2: expected 1 to 4096 instructions");
  EXPECT_EQ(process_with(RUNHV_REC_OOM_SCORE_ADJ, number(1001)), "PREPARE: record 2: out of range");
}

TEST(RequestTest, SizesAndRangesOfAContainerAreChecked) {
  const auto number = [](std::uint32_t value) { return bytes_of(value); };
  EXPECT_EQ(container_with(RUNHV_REC_NAMESPACES, number(CLONE_VM)),
            "CONTAINER: record 2: unknown namespace");
  EXPECT_EQ(container_with(RUNHV_REC_NAMESPACES, number(CLONE_NEWUSER)),
            "CONTAINER: with a user namespace come all others");
  EXPECT_EQ(container_with(RUNHV_REC_CLOCK, number(1)),
            "CONTAINER: record 2: expected nanoseconds");
  EXPECT_EQ(container_with(RUNHV_REC_ENTROPY, "31"), "CONTAINER: record 2: expected 32 bytes");
  EXPECT_EQ(container_with(RUNHV_REC_SYSCTL, text("a") + "b"),
            "CONTAINER: record 2: expected 2 strings");
  EXPECT_EQ(container_with(RUNHV_REC_SYSCTL, text("kernel/../../x") + text("1")),
            "CONTAINER: record 2: expected a name with dots");
  EXPECT_EQ(container_with(RUNHV_REC_SYSCTL, text("..a") + text("1")),
            "CONTAINER: record 2: expected a name with dots");
  EXPECT_EQ(container_with(RUNHV_REC_SYSCTL, text("net/") + text("1")),
            "CONTAINER: record 2: expected a name with dots");
  EXPECT_EQ(container_with(RUNHV_REC_SYSCTL, text("net./a") + text("1")),
            "CONTAINER: record 2: expected a name with dots");
  EXPECT_EQ(container_with(RUNHV_REC_SYSCTL, text("/net") + text("1")),
            "CONTAINER: record 2: expected a name with dots");
  EXPECT_EQ(container_with(RUNHV_REC_SYSCTL, text("net//a") + text("1")),
            "CONTAINER: record 2: expected a name with dots");
  EXPECT_EQ(container_with(RUNHV_REC_SYSCTL, text("net.a/7.b") + text("1")), "accepted");
}

TEST(RequestTest, AUserNamespaceHasMapsAndOwnsAllOthers) {
  constexpr std::uint32_t kOthers =
      CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP;
  const auto namespaces = [](std::uint32_t which) {
    return record(RUNHV_REC_NAMESPACES, bytes_of(which));
  };
  const std::string range = bytes_of(runhv_id_range{0, 100000, 65536});
  const std::string maps = record(RUNHV_REC_UID_MAP, range) + record(RUNHV_REC_GID_MAP, range);
  const Container container(root() + namespaces(CLONE_NEWUSER | kOthers) + maps);
  ASSERT_TRUE(container.ok);
  EXPECT_EQ(container.request.uid_map.size(), sizeof(runhv_id_range));
  EXPECT_EQ(error_of<Container>(root() + namespaces(CLONE_NEWUSER | CLONE_NEWNS) + maps),
            "CONTAINER: with a user namespace come all others");
  EXPECT_EQ(error_of<Container>(root() + maps),
            "CONTAINER: a user namespace and both of its maps come together");
  EXPECT_EQ(error_of<Container>(root() + namespaces(CLONE_NEWUSER | kOthers) +
                                record(RUNHV_REC_GID_MAP, range)),
            "CONTAINER: a user namespace and both of its maps come together");
  const Container joining(root() +
                          namespaces(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWCGROUP));
  EXPECT_TRUE(joining.ok) << "it is the first container's";
  EXPECT_EQ(container_with(RUNHV_REC_UID_MAP, ""),
            "CONTAINER: record 2: expected 1 to 340 struct runhv_id_range");
  EXPECT_EQ(container_with(RUNHV_REC_GID_MAP, std::string(341 * sizeof(runhv_id_range), '\0')),
            "CONTAINER: record 2: expected 1 to 340 struct runhv_id_range");
  EXPECT_EQ(container_with(RUNHV_REC_UID_MAP, "short"),
            "CONTAINER: record 2: expected 1 to 340 struct runhv_id_range");
}

TEST(RequestTest, HowAProcessIsScheduledArrives) {
  const runhv_scheduler scheduler{1, -3, 7, 0, 1, 2, 3, 4};
  const Process parsed(program() + record(RUNHV_REC_SCHEDULER, bytes_of(scheduler)) +
                       record(RUNHV_REC_IO_PRIORITY, bytes_of(std::uint32_t{0x4003})) +
                       record(RUNHV_REC_CPU_AFFINITY, bytes_of(std::uint64_t{5})) +
                       record(RUNHV_REC_PERSONALITY, bytes_of(std::uint32_t{8})));
  ASSERT_TRUE(parsed.ok) << parsed.error.view();
  EXPECT_TRUE(parsed.request.has_scheduler);
  EXPECT_EQ(parsed.request.scheduler.nice, -3);
  EXPECT_EQ(parsed.request.scheduler.period, 4u);
  EXPECT_EQ(parsed.request.io_priority, 0x4003u);
  EXPECT_EQ(parsed.request.cpu_affinity, 5u);
  EXPECT_EQ(parsed.request.personality, 8u);
  EXPECT_EQ(process_with(RUNHV_REC_SCHEDULER, "short"),
            "PREPARE: record 2: expected struct runhv_scheduler");
  EXPECT_EQ(process_with(RUNHV_REC_SCHEDULER, bytes_of(runhv_scheduler{0, 0, 0, 1, 0, 0, 0, 0})),
            "PREPARE: record 2: a field that must be zero is not");
  for (const std::uint16_t tag :
       {RUNHV_REC_IO_PRIORITY, RUNHV_REC_CPU_AFFINITY, RUNHV_REC_PERSONALITY}) {
    EXPECT_EQ(process_with(tag, "123"), "PREPARE: record 2: expected a number");
  }
}

TEST(RequestTest, DescriptorsArriveInTheirOrder) {
  const auto descriptor = [](std::uint32_t port, std::uint32_t flags) {
    return bytes_of(runhv_descriptor{port, flags});
  };
  const Process parsed(program() + record(RUNHV_REC_DESCRIPTOR, descriptor(9, 0)) +
                       record(RUNHV_REC_DESCRIPTOR, descriptor(8, RUNHV_DESCRIPTOR_TO_HOST)));
  ASSERT_TRUE(parsed.ok) << parsed.error.view();
  const auto descriptors = parsed.request.more_descriptors();
  ASSERT_EQ(descriptors.size(), 2u);
  EXPECT_EQ(descriptors[0].port, 9u);
  EXPECT_EQ(descriptors[1].flags, unsigned{RUNHV_DESCRIPTOR_TO_HOST});

  EXPECT_EQ(process_with(RUNHV_REC_DESCRIPTOR, descriptor(0, 0)),
            "PREPARE: record 2: expected a port");
  EXPECT_EQ(process_with(RUNHV_REC_DESCRIPTOR, descriptor(9, 2)),
            "PREPARE: record 2: unknown flag");
  std::string many = program();
  for (unsigned i = 0; i <= RUNHV_MAX_DESCRIPTORS; ++i) {
    many += record(RUNHV_REC_DESCRIPTOR, descriptor(9, 0));
  }
  EXPECT_EQ(error_of<Process>(many), "PREPARE: record 15: too many descriptors");
}

TEST(RequestTest, OffsetsOfClocksArrive) {
  const Container parsed(
      root() + record(RUNHV_REC_TIME_OFFSETS, bytes_of(runhv_time_offsets{-1, 2, 3, 999'999'999})));
  ASSERT_TRUE(parsed.ok) << parsed.error.view();
  EXPECT_TRUE(parsed.request.has_time_offsets);
  EXPECT_EQ(parsed.request.time_offsets.monotonic_seconds, -1);
  EXPECT_EQ(container_with(RUNHV_REC_TIME_OFFSETS, "1"),
            "CONTAINER: record 2: expected struct runhv_time_offsets");
  EXPECT_EQ(
      container_with(RUNHV_REC_TIME_OFFSETS, bytes_of(runhv_time_offsets{0, 0, 1'000'000'000, 0})),
      "CONTAINER: record 2: nanoseconds out of range");
}

TEST(RequestTest, HooksHaveTheStringsThatTheySay) {
  const auto hook = [](runhv_hook how, const std::string& strings) {
    return container_with(RUNHV_REC_HOOK, bytes_of(how) + strings);
  };
  const std::string state_and_path = text("{}") + text("/bin/hook");
  EXPECT_EQ(hook({0, 0, 0, 0}, state_and_path), "accepted");
  EXPECT_EQ(hook({9, 2, 1, 0}, state_and_path + text("a") + text("") + text("B=c")), "accepted");
  EXPECT_EQ(hook({0, 0, 0, 1}, state_and_path),
            "CONTAINER: record 2: a field that must be zero is not");
  EXPECT_EQ(hook({0, 0, 0, 0}, text("{}") + text("hook")),
            "CONTAINER: record 2: expected an absolute path");
  for (const runhv_hook how :
       {runhv_hook{0, 1, 0, 0}, runhv_hook{0, 0, 1, 0}, runhv_hook{0, UINT32_MAX, UINT32_MAX, 0}}) {
    EXPECT_EQ(hook(how, state_and_path),
              "CONTAINER: record 2: expected struct runhv_hook and its strings");
  }
  EXPECT_EQ(hook({0, 0, 0, 0}, state_and_path + text("a")),
            "CONTAINER: record 2: expected struct runhv_hook and its strings");
  EXPECT_EQ(hook({0, 0, 0, 0}, text("{}")),
            "CONTAINER: record 2: expected struct runhv_hook and its strings");
}

TEST(RequestTest, FilesOfACgroupAreNames) {
  const auto file = [](std::string_view name) {
    return record(RUNHV_REC_CGROUP_FILE, text(name) + text("1"));
  };
  const std::string cgroup = record(RUNHV_REC_CGROUP, "");
  const Container parsed(root() + cgroup + file("pids.max") + file("memory.max"));
  ASSERT_TRUE(parsed.ok) << parsed.error.view();
  EXPECT_TRUE(parsed.request.has_cgroup);
  EXPECT_EQ(container_with(RUNHV_REC_CGROUP, "1"), "CONTAINER: record 2: expected nothing");
  EXPECT_EQ(error_of<Container>(root() + file("pids.max") + cgroup),
            "CONTAINER: record 2: comes before that of the cgroup");
  EXPECT_EQ(error_of<Parsed<ResourcesRequest>>(file("pids.max") + file("pids.max")), "accepted");
  EXPECT_EQ(error_of<Parsed<ResourcesRequest>>(cgroup), "RESOURCES: record 1: unknown tag");
  for (const char* name : {"", "../x", ".", "a/b", "/a", "A"}) {
    EXPECT_EQ(error_of<Container>(root() + cgroup + file(name)),
              "CONTAINER: record 3: expected the name of a file of a cgroup")
        << name;
    EXPECT_EQ(error_of<Parsed<ResourcesRequest>>(file(name)),
              "RESOURCES: record 1: expected the name of a file of a cgroup")
        << name;
  }
  EXPECT_EQ(error_of<Parsed<ResourcesRequest>>(record(RUNHV_REC_CGROUP_FILE, text("a"))),
            "RESOURCES: record 1: expected 2 strings");
}

TEST(RequestTest, RulesOfDevicesAreChecked) {
  const auto with = [](const runhv_device_rule& rule) {
    return error_of<Parsed<ResourcesRequest>>(record(RUNHV_REC_DEVICE_RULE, bytes_of(rule)));
  };
  const runhv_device_rule fine = {1, 3, 7, RUNHV_ANY_DEVICE, 0, 0};
  EXPECT_EQ(with(fine), "accepted");
  for (const auto& [change, words] :
       std::initializer_list<std::pair<runhv_device_rule, const char*>>{
           {{2, 3, 7, 0, 0, 0}, "out of range"},
           {{1, 0, 7, 0, 0, 0}, "out of range"},
           {{1, 4, 7, 0, 0, 0}, "out of range"},
           {{1, 3, 0, 0, 0, 0}, "out of range"},
           {{1, 3, 8, 0, 0, 0}, "out of range"},
           {{1, 3, 7, 0, 0, 1}, "a field that must be zero is not"}}) {
    EXPECT_EQ(with(change), std::string("RESOURCES: record 1: ") + words);
  }
  std::string many;
  for (unsigned i = 0; i < RUNHV_MAX_DEVICE_RULES; ++i) {
    many += record(RUNHV_REC_DEVICE_RULE, bytes_of(fine));
  }
  EXPECT_EQ(error_of<Parsed<ResourcesRequest>>(many), "accepted");
  many += record(RUNHV_REC_DEVICE_RULE, bytes_of(fine));
  EXPECT_EQ(error_of<Parsed<ResourcesRequest>>(many),
            "RESOURCES: record 257: too many rules of devices");
  EXPECT_EQ(error_of<Container>(root() + record(RUNHV_REC_DEVICE_RULE, bytes_of(fine))),
            "CONTAINER: record 2: comes before that of the cgroup");
}

TEST(RequestTest, MountsDevicesAndFilesAreChecked) {
  const runhv_mount how = {};
  EXPECT_EQ(container_with(RUNHV_REC_MOUNT, bytes_of(how) + text("/a") + text("b") + text("c")),
            "CONTAINER: record 2: expected struct runhv_mount and 4 strings");
  EXPECT_EQ(container_with(RUNHV_REC_MOUNT,
                           bytes_of(how) + text("a") + text("b") + text("c") + text("d")),
            "CONTAINER: record 2: expected an absolute destination");
  EXPECT_EQ(container_with(RUNHV_REC_MOUNT, bytes_of(runhv_mount{0, 0, 8, 0}) + text("/a") +
                                                text("b") + text("c") + text("d")),
            "CONTAINER: record 2: unknown option");
  const runhv_mount share{0, 0, RUNHV_MOUNT_SHARE, 0};
  EXPECT_EQ(container_with(RUNHV_REC_MOUNT,
                           bytes_of(share) + text("/a") + text("bind") + text("1") + text("")),
            "CONTAINER: record 2: expected the place of a share");
  const auto device = [](std::uint32_t mode, std::uint32_t major, std::string_view path) {
    return container_with(RUNHV_REC_DEVICE,
                          bytes_of(runhv_device{mode, major, 3, 0, 0, 0}) + text(path));
  };
  EXPECT_EQ(device(S_IFREG, 1, "/d"),
            "CONTAINER: record 2: expected a character device, a block device or a FIFO");
  EXPECT_EQ(device(S_IFCHR, 4096, "/d"), "CONTAINER: record 2: device number out of range");
  EXPECT_EQ(device(S_IFCHR, 1, "d"), "CONTAINER: record 2: expected an absolute path");
  const auto file = [](runhv_file what, std::string_view path) {
    return container_with(RUNHV_REC_FILE, bytes_of(what) + text(path) + text(""));
  };
  EXPECT_EQ(file({S_IFREG | 0644, 2}, "/f"), "CONTAINER: record 2: unknown flag");
  EXPECT_EQ(file({S_IFCHR | 0644, 0}, "/f"),
            "CONTAINER: record 2: expected a file, a link or a directory");
  EXPECT_EQ(file({S_IFLNK | 0777, 0}, "f"), "CONTAINER: record 2: expected an absolute path");
}

}  // namespace
}  // namespace runhv::agent
