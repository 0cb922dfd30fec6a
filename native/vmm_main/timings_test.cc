#include "vmm_main/timings.h"

#include <rapidjson/document.h>

#include <algorithm>
#include <cstring>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runhv::vmm_main {
namespace {

using ::testing::HasSubstr;

runhv_statistics measured() {
  runhv_statistics statistics{};
  statistics.struct_size = sizeof statistics;
  std::strcpy(statistics.engine, "soft");
  std::strcpy(statistics.kernel, "6.12-test");
  statistics.processor_count = 1;
  statistics.memory_bytes = 128u << 20;
  statistics.spawned_at_ns = 1'000'000'000;
  statistics.stages[RUNHV_STAGE_SPAWN] = {1'000'000'000, 2'100'000};
  statistics.stages[RUNHV_STAGE_PARTITION] = {1'002'100'000, 900'000};
  statistics.stages[RUNHV_STAGE_EXIT] = {1'010'000'000, 1'000'000};
  statistics.exits_to_first_instruction.mmio = 7;
  statistics.exits_to_first_instruction.all = 7;
  statistics.instructions_to_first_instruction = RUNHV_NOT_COUNTED;
  statistics.instructions_total = 17'000'000;
  return statistics;
}

Result<container::ExitStatus> ended(container::ExitStatus::Kind kind, int value) {
  return container::ExitStatus{kind, value, std::nullopt, 0};
}

const api::AbiEnd kExited3 = api::to_abi(ended(container::ExitStatus::Kind::kExited, 3));

rapidjson::Document end_in_json(const Result<container::ExitStatus>& result) {
  const api::AbiEnd end = api::to_abi(result);
  rapidjson::Document json;
  json.Parse(timings_json("web", measured(), end).c_str());
  EXPECT_FALSE(json.HasParseError());
  return json;
}

TEST(Timings, TheEndIsToldExactly) {
  const auto exited = end_in_json(ended(container::ExitStatus::Kind::kExited, 130));
  EXPECT_STREQ(exited["end"]["kind"].GetString(), "exited");
  EXPECT_EQ(exited["end"]["value"].GetInt(), 130);
  EXPECT_FALSE(exited["end"].HasMember("reason"));
  EXPECT_EQ(exited["end"]["oom_kills"].GetUint(), 0u);

  const auto signaled = end_in_json(ended(container::ExitStatus::Kind::kSignaled, 2));
  EXPECT_STREQ(signaled["end"]["kind"].GetString(), "signaled");
  EXPECT_EQ(signaled["end"]["value"].GetInt(), 2);
  EXPECT_EQ(signaled["exit_status"].GetInt(), 130);

  const auto failed =
      end_in_json(Fail{Error{Code::kGuestFailed, "run container web", "it \"crashed\""}});
  EXPECT_STREQ(failed["end"]["kind"].GetString(), "failed");
  EXPECT_STREQ(failed["end"]["code"].GetString(), "guest_failed");
  EXPECT_STREQ(failed["end"]["operation"].GetString(), "run container web");
  EXPECT_STREQ(failed["end"]["reason"].GetString(), "it \"crashed\"");

  const auto absent =
      end_in_json(container::ExitStatus{container::ExitStatus::Kind::kNotStarted, 127,
                                        Error{Code::kNotFound, "start /x", "no such file"}, 0});
  EXPECT_STREQ(absent["end"]["kind"].GetString(), "not_started");
  EXPECT_STREQ(absent["end"]["reason"].GetString(), "no such file");
}

TEST(Timings, JsonIsOneLineWithEveryField) {
  const std::string line = timings_json("w\"eb", measured(), kExited3);
  EXPECT_EQ(std::ranges::count(line, '\n'), 1);
  rapidjson::Document json;
  json.Parse(line.c_str());
  ASSERT_FALSE(json.HasParseError());
  EXPECT_STREQ(json["id"].GetString(), "w\"eb");
  EXPECT_EQ(json["cpus"].GetInt(), 1);
  ASSERT_EQ(json["stages"].Size(), 3u);
  EXPECT_STREQ(json["stages"][1]["name"].GetString(), "partition");
  EXPECT_EQ(json["stages"][1]["start_us"].GetInt(), 2100);
  EXPECT_EQ(json["stages"][1]["duration_us"].GetInt(), 900);
  EXPECT_EQ(json["exits_to_first_instruction"]["mmio"].GetInt(), 7);
  EXPECT_EQ(json["exits_total"].MemberCount(), 10u);
  EXPECT_TRUE(json["instructions_to_first_instruction"].IsNull());
  EXPECT_EQ(json["instructions_total"].GetInt(), 17'000'000);
  EXPECT_EQ(json["exit_status"].GetInt(), 3);
}

TEST(Timings, JsonIsUtf8WhateverAReasonHolds) {
  const std::string line =
      timings_json("web", measured(),
                   api::to_abi(Fail{Error{Code::kNotFound, "open /caf\xe9", "there is none"}}));
  rapidjson::Document json;
  json.Parse<rapidjson::kParseValidateEncodingFlag>(line.c_str());
  ASSERT_FALSE(json.HasParseError());
  EXPECT_STREQ(json["end"]["operation"].GetString(), "open /caf\\xe9");
}

TEST(Timings, TableShowsABarForEachStageThatWasReached) {
  const std::string plain = timings_table("web", measured(), kExited3, false);
  EXPECT_THAT(plain, HasSubstr("web: engine soft, kernel 6.12-test, 1 CPU, 128 MiB"));
  EXPECT_THAT(plain, HasSubstr("spawn                     0.0        2.1  #######"));
  EXPECT_THAT(plain, HasSubstr("exits to the first instruction     7 (mmio 7)"));
  EXPECT_THAT(plain, ::testing::Not(HasSubstr("agent")));
  EXPECT_THAT(plain, ::testing::Not(HasSubstr("\x1b")));
  EXPECT_THAT(timings_table("web", measured(), kExited3, true), HasSubstr("\x1b[36m\u2588"));
}

}  // namespace
}  // namespace runhv::vmm_main
