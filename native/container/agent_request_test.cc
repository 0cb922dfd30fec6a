#include "container/agent_request.h"

#include <array>
#include <map>
#include <string>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runhv::container {
namespace {

struct Decoded {
  std::uint16_t tag;
  std::string payload;
};

// As the agent reads it: bounds first, zeros between.
std::vector<Decoded> decode(std::span<const std::byte> bytes) {
  std::vector<Decoded> records;
  std::size_t at = 0;
  while (at < bytes.size()) {
    EXPECT_GE(bytes.size() - at, sizeof(runhv_record));
    const auto tag = load_le<std::uint16_t>(bytes, at);
    EXPECT_EQ(load_le<std::uint16_t>(bytes, at + 2), 0);
    const auto length = load_le<std::uint32_t>(bytes, at + 4);
    at += sizeof(runhv_record);
    EXPECT_LE(length, bytes.size() - at);
    records.push_back({tag, std::string(reinterpret_cast<const char*>(&bytes[at]), length)});
    at += length;
    for (; at % 8 != 0; ++at) EXPECT_EQ(bytes[at], std::byte{0});
  }
  return records;
}

ProcessSpec small_process() {
  ProcessSpec spec;
  spec.arguments = {"sh", "-c", "echo"};
  spec.environment = {"A=b"};
  spec.cwd = "/srv";
  return spec;
}

ContainerSpec small_container() {
  ContainerSpec spec;
  spec.root_type = "erofs";
  spec.namespaces = 0x20000;
  return spec;
}

TEST(DecodeNetwork, GivesWhatWasEncoded) {
  platform::NetworkInterface eth0{.name = "eth0", .mac = {2, 0, 0, 0, 0, 1}, .mtu = 1400};
  eth0.addresses.push_back({.local = {4, {10, 0, 0, 2}}, .prefix_bits = 24});
  const auto messages = network_messages({}, {{0, eth0}, {1, eth0}});
  const auto records = encode_network({}, messages, {});
  ASSERT_TRUE(records);
  const auto read = decode_network(*records, 2);
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(*encode_network({}, *read, {}), *records);
  EXPECT_EQ(read->at(0).what, "set up the interface eth0");
  EXPECT_TRUE(decode_network({}, 0)->empty());
}

TEST(DecodeNetwork, RefusesWhatIsNoMessageAboutAnInterface) {
  const platform::NetworkInterface eth0{.name = "eth0", .mtu = 1400};
  const auto messages = network_messages({}, {{0, eth0}});
  const std::vector<std::byte> records = *encode_network({}, std::span(messages).first(1), {});
  const auto complaint = [&](std::size_t at, std::uint32_t value, std::size_t interfaces = 1) {
    std::vector<std::byte> changed = records;
    store_le<std::uint32_t>(changed, at, value);
    const auto read = decode_network(changed, interfaces);
    return read ? "accepted" : read.error().detail;
  };
  constexpr std::size_t kHead = sizeof(runhv_record);
  const std::size_t message = kHead + sizeof(runhv_netlink);
  const auto bytes = static_cast<std::uint32_t>(messages[0].message.size());
  EXPECT_EQ(complaint(0, RUNHV_REC_NETLINK), "accepted");
  EXPECT_EQ(complaint(0, RUNHV_REC_NETWORK_SLOT), "a record is no message");
  EXPECT_EQ(complaint(0, RUNHV_REC_NETLINK | 1u << 16), "a record is no message");
  EXPECT_EQ(complaint(4, 0xffffffff), "a record is cut off");
  EXPECT_EQ(complaint(4, 8), "a message is cut off");
  EXPECT_EQ(complaint(kHead, 1), "a message is about no interface of it");
  EXPECT_EQ(complaint(kHead, 0, 0), "a message is about no interface of it");
  EXPECT_EQ(complaint(kHead + offsetof(runhv_netlink, index_offset), bytes - 4), "accepted");
  EXPECT_EQ(complaint(kHead + offsetof(runhv_netlink, index_offset), bytes - 3),
            "a message has its interface behind its end");
  EXPECT_EQ(complaint(kHead + offsetof(runhv_netlink, message_bytes), 0xffffffff),
            "a message is cut off");
  EXPECT_EQ(complaint(kHead + offsetof(runhv_netlink, message_bytes), bytes - 4),
            "a message has a wrong length");
  EXPECT_EQ(complaint(kHead + offsetof(runhv_netlink, zero), 1),
            "a field that must be zero is not");
  EXPECT_EQ(complaint(message, bytes + 4), "a message has a wrong length");
  EXPECT_EQ(complaint(message + bytes, 0), "a message does not say what it does");
  EXPECT_FALSE(decode_network(std::span(records).first(records.size() - 8), 1));
  EXPECT_FALSE(decode_network(std::span(records).first(4), 1));
}

// The records of PREPARE.
std::span<const std::byte> records_of(std::span<const std::byte> prepare) {
  return prepare.subspan(sizeof(runhv_prepare));
}

std::map<std::uint16_t, std::string> by_tag(std::span<const std::byte> records) {
  std::map<std::uint16_t, std::string> found;
  for (const Decoded& record : decode(records)) found[record.tag] = record.payload;
  return found;
}

std::uint32_t u32(const std::string& record, std::size_t offset) {
  return load_le<std::uint32_t>(as_bytes(record), offset);
}

TEST(AgentRequest, WhatAGuestIsAskedForIsARecordEach) {
  ContainerSpec container = small_container();
  auto records = by_tag(*encode_container(container));
  for (const std::uint16_t tag : {RUNHV_REC_CGROUP, RUNHV_REC_CGROUP_FILE, RUNHV_REC_DEVICE_RULE,
                                  RUNHV_REC_TIME_OFFSETS, RUNHV_REC_HOOK}) {
    EXPECT_EQ(records.count(tag), 0u) << tag;
  }
  container.cgroup = CgroupSettings{.files = {{"pids.max", "7"}},
                                    .devices = {{runhv_device_rule{1, 2, 4, 8, 16, 0}}}};
  container.time_offsets = runhv_time_offsets{1, 0, 0, 0};
  container.hook_state = "{}";
  container.start_hooks = {{"/h", {"h", "a"}, {"B=c"}, 9}};
  records = by_tag(*encode_container(container));
  EXPECT_EQ(records[RUNHV_REC_CGROUP], "");
  EXPECT_EQ(records[RUNHV_REC_CGROUP_FILE], std::string("pids.max\0"
                                                        "7\0",
                                                        11));
  EXPECT_EQ(u32(records[RUNHV_REC_DEVICE_RULE], offsetof(runhv_device_rule, minor)), 16u);
  EXPECT_EQ(records[RUNHV_REC_TIME_OFFSETS].size(), sizeof(runhv_time_offsets));
  EXPECT_EQ(records[RUNHV_REC_HOOK].substr(sizeof(runhv_hook)),
            std::string("{}\0/h\0h\0a\0B=c\0", 14));

  ProcessSpec process = small_process();
  process.scheduler = runhv_scheduler{};
  process.io_priority = 1;
  process.personality = 8;
  process.exec_affinity = 2;
  const auto first = *encode_process(0, process, {});
  records = by_tag(records_of(first));
  EXPECT_EQ(records.count(RUNHV_REC_CPU_AFFINITY), 0u) << "not of the first process";
  EXPECT_EQ(records.count(RUNHV_REC_SCHEDULER), 1u);
  EXPECT_EQ(records.count(RUNHV_REC_IO_PRIORITY), 1u);
  EXPECT_EQ(records.count(RUNHV_REC_PERSONALITY), 1u);
  const auto second = *encode_process(1, process, {});
  EXPECT_EQ(by_tag(records_of(second)).count(RUNHV_REC_CPU_AFFINITY), 1u);
}

TEST(AgentRequest, StringsEndWithOneNulAndKeepTheirOrder) {
  const auto prepare = encode_process(0, small_process(), {});
  ASSERT_TRUE(prepare);
  std::vector<std::string> arguments;
  for (const Decoded& record : decode(records_of(*prepare))) {
    if (record.tag == RUNHV_REC_ARG) arguments.push_back(record.payload);
  }
  using std::string_literals::operator""s;
  EXPECT_THAT(arguments, ::testing::ElementsAre("sh\0"s, "-c\0"s, "echo\0"s));
}

TEST(AgentRequest, NumbersStandWhereTheAgentReadsThem) {
  ProcessSpec spec = small_process();
  spec.user = {1, 2, 022, 0};
  spec.has_umask = true;
  spec.seccomp = SeccompFilter{4, {{0x06, 1, 2, 0x7fff0000}}};
  const auto prepare = encode_process(7, spec,
                                      {.stdin_port = 0,
                                       .stdout_port = 1026,
                                       .stderr_port = 1027,
                                       .flags = 1,
                                       .columns = 80,
                                       .rows = 24,
                                       .zero = 0});
  ASSERT_TRUE(prepare);
  EXPECT_EQ(load_le<std::uint32_t>(*prepare, offsetof(runhv_prepare, process)), 7u);
  EXPECT_EQ(load_le<std::uint32_t>(*prepare, offsetof(runhv_prepare, flags)), 0u);
  const auto records = by_tag(records_of(*prepare));
  EXPECT_EQ(u32(records.at(RUNHV_REC_USER), offsetof(runhv_user, gid)), 2u);
  EXPECT_EQ(u32(records.at(RUNHV_REC_FLAGS), 0), static_cast<std::uint32_t>(RUNHV_PROCESS_UMASK));
  EXPECT_EQ(u32(records.at(RUNHV_REC_STDIO), 0), 0u);
  EXPECT_EQ(u32(records.at(RUNHV_REC_STDIO), 4), 1026u);
  EXPECT_EQ(u32(records.at(RUNHV_REC_STDIO), offsetof(runhv_stdio, flags)),
            unsigned{RUNHV_STDIO_TERMINAL});
  EXPECT_EQ(u32(records.at(RUNHV_REC_STDIO), offsetof(runhv_stdio, columns)), 24u << 16 | 80u);
  EXPECT_EQ(u32(records.at(RUNHV_REC_SECCOMP), 0), 4u);
  EXPECT_EQ(records.at(RUNHV_REC_SECCOMP).size(), 8u + 8u);
  EXPECT_EQ(u32(records.at(RUNHV_REC_SECCOMP), 12), 0x7fff0000u);
}

TEST(AgentRequest, ExecuteIsAFlagOfPrepareOrAMessage) {
  auto prepare = encode_process(7, small_process(), {});
  ASSERT_TRUE(prepare);
  add_execute(*prepare);
  EXPECT_EQ(load_le<std::uint32_t>(*prepare, offsetof(runhv_prepare, flags)),
            unsigned{RUNHV_PREPARE_EXECUTE});

  const auto frame = encode_execute(7);
  EXPECT_EQ(load_le<std::uint16_t>(frame, 4), RUNHV_MSG_EXECUTE);
  EXPECT_EQ(load_le<std::uint32_t>(frame, sizeof(runhv_frame)), 7u);
}

TEST(AgentRequest, TheContainersRecordsAreThere) {
  ContainerSpec spec = small_container();
  spec.files.push_back({{0100644, RUNHV_FILE_IF_MISSING}, "/etc/x", "a\nb"});
  const auto payload = encode_container(spec);
  ASSERT_TRUE(payload);
  const auto records = by_tag(*payload);
  EXPECT_EQ(records.at(RUNHV_REC_ROOT).substr(sizeof(runhv_root)),
            std::string("erofs\0/dev/vda\0", 15));
  EXPECT_EQ(u32(records.at(RUNHV_REC_FILE), 0), 0100644u);
  EXPECT_EQ(u32(records.at(RUNHV_REC_FILE), 4), unsigned{RUNHV_FILE_IF_MISSING});
  EXPECT_EQ(records.at(RUNHV_REC_FILE).substr(sizeof(runhv_file)),
            std::string("/etc/x\0a\nb\0", 11));
}

TEST(AgentRequest, AResolverIsToldWhereThereIsOne) {
  EXPECT_EQ(by_tag(*encode_container(small_container())).count(RUNHV_REC_RESOLVER), 0u);
  const auto payload =
      encode_container(small_container(), {}, runhv_resolver{{127, 0, 0, 11}, 53, 0});
  ASSERT_TRUE(payload);
  EXPECT_EQ(by_tag(*payload).at(RUNHV_REC_RESOLVER), std::string("\x7f\0\0\x0b\x35\0\0\0", 8));
}

TEST(AgentRequest, IdentityComesLastAndWhole) {
  std::vector<std::byte> records = *encode_container(small_container());
  std::array<std::byte, kEntropyBytes> entropy;
  entropy.fill(std::byte{0x5a});
  append_identity(records, 0x1122334455667788, entropy);
  const auto decoded = decode(records);
  ASSERT_GE(decoded.size(), 2u);
  EXPECT_EQ(decoded[decoded.size() - 2].tag, RUNHV_REC_CLOCK);
  EXPECT_EQ(load_le<std::uint64_t>(as_bytes(decoded[decoded.size() - 2].payload)),
            0x1122334455667788u);
  EXPECT_EQ(decoded.back().tag, RUNHV_REC_ENTROPY);
  EXPECT_EQ(decoded.back().payload, std::string(32, '\x5a'));
}

TEST(AgentRequest, MoreThanAFrameHoldsIsAnError) {
  ProcessSpec process = small_process();
  process.environment.push_back("BIG=" + std::string(1u << 20, 'x'));
  const auto prepare = encode_process(0, process, {});
  ASSERT_FALSE(prepare);
  EXPECT_THAT(prepare.error().detail, ::testing::HasSubstr("at most 1048576 fit"));

  ContainerSpec container = small_container();
  container.masked_paths.push_back("/" + std::string(1u << 20, 'x'));
  const auto payload = encode_container(container);
  ASSERT_FALSE(payload);
  EXPECT_THAT(payload.error().detail, ::testing::HasSubstr("at most 1048576 fit"));
}

TEST(AgentRequest, FrameHeaderHoldsLengthAndType) {
  const auto frame = encode_frame(RUNHV_MSG_SIGNAL, as_bytes("abcd"));
  EXPECT_EQ(load_le<std::uint32_t>(frame, 0), 4u);
  EXPECT_EQ(load_le<std::uint16_t>(frame, 4), RUNHV_MSG_SIGNAL);
  EXPECT_EQ(frame.size(), 12u);
}

TEST(AgentRequest, SignalsAndSizesNameTheirProcess) {
  const auto signal = encode_signal(7, 15);
  EXPECT_EQ(load_le<std::uint16_t>(signal, 4), RUNHV_MSG_SIGNAL);
  EXPECT_EQ(load_le<std::uint32_t>(signal, 8), 7u);
  EXPECT_EQ(load_le<std::uint32_t>(signal, 12), 15u);
  const auto size = encode_resize(7, 80, 24);
  EXPECT_EQ(load_le<std::uint16_t>(size, 4), RUNHV_MSG_RESIZE);
  EXPECT_EQ(load_le<std::uint32_t>(size, 8), 7u);
  EXPECT_EQ(load_le<std::uint16_t>(size, 12), 80u);
  EXPECT_EQ(load_le<std::uint16_t>(size, 14), 24u);
}

TEST(AgentRequest, AScratchDiskIsAFlagOfTheRoot) {
  ContainerSpec spec = small_container();
  for (const bool scratch : {false, true}) {
    spec.root_on_scratch_disk = scratch;
    const auto payload = encode_container(spec);
    ASSERT_TRUE(payload);
    EXPECT_EQ(u32(by_tag(*payload).at(RUNHV_REC_ROOT), 0),
              scratch ? unsigned{RUNHV_ROOT_SCRATCH_DISK} : 0u);
  }
}

TEST(AgentRequest, ARootFolderIsTheFirstShare) {
  ContainerSpec spec = small_container();
  spec.root_is_shared = true;
  const auto payload = encode_container(spec);
  ASSERT_TRUE(payload);
  const std::string root = by_tag(*payload).at(RUNHV_REC_ROOT);
  EXPECT_EQ(u32(root, 0), unsigned{RUNHV_ROOT_SHARE});
  EXPECT_EQ(root.substr(sizeof(runhv_root)), std::string("virtiofs\0/0\0", 12));
}

}  // namespace
}  // namespace runhv::container
