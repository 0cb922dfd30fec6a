#include "container/start_message.h"

#include <array>
#include <map>
#include <string>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runhv {
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

OciConfig small_config() {
  OciConfig config;
  config.arguments = {"sh", "-c", "echo"};
  config.environment = {"A=b"};
  config.cwd = "/srv";
  config.root_type = "erofs";
  config.namespaces = 0x20000;
  return config;
}

TEST(StartMessage, StringsEndWithOneNulAndKeepTheirOrder) {
  const auto records = encode_start(small_config(), {1025, 1026, 1027, 0});
  ASSERT_TRUE(records);
  std::vector<std::string> arguments;
  for (const Decoded& record : decode(*records)) {
    if (record.tag == RUNHV_REC_ARG) arguments.push_back(record.payload);
  }
  using std::string_literals::operator""s;
  EXPECT_THAT(arguments, testing::ElementsAre("sh\0"s, "-c\0"s, "echo\0"s));
}

TEST(StartMessage, NumbersStandWhereTheAgentReadsThem) {
  OciConfig config = small_config();
  config.user = {1, 2, 022, 0};
  config.has_umask = true;
  config.seccomp = OciSeccomp{4, {{0x06, 1, 2, 0x7fff0000}}};
  const auto encoded = encode_start(config, {0, 1026, 1027, 0});
  ASSERT_TRUE(encoded);
  std::map<std::uint16_t, std::string> records;
  for (const Decoded& record : decode(*encoded)) records[record.tag] = record.payload;
  const auto u32 = [&](std::uint16_t tag, std::size_t offset) {
    return load_le<std::uint32_t>(as_bytes(records.at(tag)), offset);
  };
  EXPECT_EQ(u32(RUNHV_REC_USER, offsetof(runhv_user, gid)), 2u);
  EXPECT_EQ(u32(RUNHV_REC_FLAGS, 0), static_cast<std::uint32_t>(RUNHV_START_UMASK));
  EXPECT_EQ(u32(RUNHV_REC_STDIO, 0), 0u);
  EXPECT_EQ(u32(RUNHV_REC_STDIO, 4), 1026u);
  EXPECT_EQ(records.at(RUNHV_REC_ROOT).substr(sizeof(runhv_root)),
            std::string("erofs\0/dev/vda\0", 15));
  EXPECT_EQ(u32(RUNHV_REC_SECCOMP, 0), 4u);
  EXPECT_EQ(records.at(RUNHV_REC_SECCOMP).size(), 8u + 8u);
  EXPECT_EQ(u32(RUNHV_REC_SECCOMP, 12), 0x7fff0000u);
}

TEST(StartMessage, IdentityComesLastAndWhole) {
  std::vector<std::byte> records = *encode_start(small_config(), {});
  std::array<std::byte, kStartEntropyBytes> entropy;
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

TEST(StartMessage, MoreThanAFrameHoldsIsAnError) {
  OciConfig config = small_config();
  config.environment.push_back("BIG=" + std::string(1u << 20, 'x'));
  const auto records = encode_start(config, {});
  ASSERT_FALSE(records);
  EXPECT_THAT(records.error().detail, testing::HasSubstr("at most 1048576 fit"));
}

TEST(StartMessage, FrameHeaderHoldsLengthAndType) {
  const auto frame = encode_frame(RUNHV_MSG_SIGNAL, as_bytes("abcd"));
  EXPECT_EQ(load_le<std::uint32_t>(frame, 0), 4u);
  EXPECT_EQ(load_le<std::uint16_t>(frame, 4), RUNHV_MSG_SIGNAL);
  EXPECT_EQ(frame.size(), 12u);
}

TEST(StartMessage, AScratchDiskIsAFlagOfTheRoot) {
  OciConfig config = small_config();
  for (const std::uint64_t bytes : {std::uint64_t{0}, kScratchUnitBytes}) {
    config.scratch_bytes = bytes;
    const auto records = encode_start(config, {});
    ASSERT_TRUE(records);
    for (const Decoded& record : decode(*records)) {
      if (record.tag != RUNHV_REC_ROOT) continue;
      const auto flags = load_le<std::uint32_t>(std::as_bytes(std::span(record.payload)), 0);
      EXPECT_EQ(flags, bytes == 0 ? 0u : unsigned{RUNHV_ROOT_SCRATCH_DISK});
    }
  }
}

}  // namespace
}  // namespace runhv
