#include "container/agent_message.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/bytes.h"
#include "base/text.h"
#include "container/agent_request.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runhv::container {
namespace {

using ::testing::HasSubstr;

template <class T>
std::vector<std::byte> frame_of(std::uint16_t type, const T& body, std::string_view text = "") {
  std::vector<std::byte> payload(sizeof body);
  std::memcpy(payload.data(), &body, sizeof body);
  const auto tail = as_bytes(text);
  payload.insert(payload.end(), tail.begin(), tail.end());
  return encode_frame(type, payload);
}

std::string complaint(const std::vector<std::byte>& bytes) {
  AgentMessageParser parser;
  std::vector<AgentMessage> messages;
  const auto pushed = parser.push(bytes, messages);
  return pushed ? std::to_string(messages.size()) + " messages" : pushed.error().detail;
}

TEST(AgentMessage, StreamMayBeCutAnywhere) {
  std::vector<std::byte> stream;
  for (const auto& frame :
       {frame_of(RUNHV_MSG_HELLO, runhv_hello{RUNHV_PROTO_MAGIC, RUNHV_PROTO_VERSION, 0}),
        frame_of(RUNHV_MSG_FAILED, runhv_failed{3, 2, 127, 0}, "exec \"foo\""),
        frame_of(RUNHV_MSG_EXITED, runhv_exited{4, 1, 9, 2}),
        frame_of(RUNHV_MSG_PREPARED, runhv_process_id{5, 0}),
        frame_of(RUNHV_MSG_STARTED, runhv_process_id{6, 0}),
        frame_of(RUNHV_MSG_OUT_OF_MEMORY, runhv_out_of_memory{7, 0}),
        frame_of(RUNHV_MSG_WARNING, runhv_process_id{8, 0}, "no CAP_\x1b"),
        frame_of(RUNHV_MSG_RESOURCES_SET, runhv_resources_set{22, 0}, "set \x1b")}) {
    stream.insert(stream.end(), frame.begin(), frame.end());
  }
  for (std::size_t step = 1; step <= stream.size(); ++step) {
    AgentMessageParser parser;
    std::vector<AgentMessage> messages;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      const auto part = std::span(stream).subspan(at, std::min(step, stream.size() - at));
      ASSERT_TRUE(parser.push(part, messages));
    }
    ASSERT_EQ(messages.size(), 8u) << step;
    const auto& failed = std::get<AgentFailed>(messages[1]);
    EXPECT_EQ(failed.process, 3u);
    EXPECT_EQ(failed.text, "exec \"foo\"");
    EXPECT_EQ(failed.exit_status, 127);
    EXPECT_EQ(failed.guest_errno, 2);
    EXPECT_EQ(std::get<AgentExited>(messages[2]).process, 4u);
    EXPECT_EQ(std::get<AgentExited>(messages[2]).value, 9);
    EXPECT_TRUE(std::get<AgentExited>(messages[2]).signaled);
    EXPECT_EQ(std::get<AgentExited>(messages[2]).oom_kills, 2u);
    EXPECT_EQ(std::get<AgentPrepared>(messages[3]).process, 5u);
    EXPECT_EQ(std::get<AgentStarted>(messages[4]).process, 6u);
    EXPECT_EQ(std::get<AgentOutOfMemory>(messages[5]).kills, 7u);
    EXPECT_EQ(std::get<AgentWarning>(messages[6]).process, 8u);
    EXPECT_EQ(std::get<AgentWarning>(messages[6]).text, "no CAP_\\x1b");
    EXPECT_EQ(std::get<AgentResourcesSet>(messages[7]).guest_errno, 22);
    EXPECT_EQ(std::get<AgentResourcesSet>(messages[7]).text, "set \\x1b");
  }
}

TEST(AgentMessage, WhatBreaksTheRulesIsOneClearError) {
  EXPECT_THAT(complaint(frame_of(RUNHV_MSG_HELLO, runhv_hello{1, 1, 0})),
              HasSubstr("wrong magic number"));
  EXPECT_THAT(complaint(frame_of(RUNHV_MSG_HELLO, runhv_hello{RUNHV_PROTO_MAGIC, 9, 0})),
              HasSubstr("speaks version 9"));
  EXPECT_THAT(complaint(encode_frame(RUNHV_MSG_HELLO, {})), HasSubstr("wrong length"));
  EXPECT_THAT(complaint(encode_frame(99, {})), HasSubstr("unknown type 99"));
  for (const std::uint16_t type :
       {RUNHV_MSG_PREPARED, RUNHV_MSG_STARTED, RUNHV_MSG_EXITED, RUNHV_MSG_OUT_OF_MEMORY}) {
    EXPECT_THAT(complaint(encode_frame(type, as_bytes("1234"))), HasSubstr("wrong length")) << type;
  }
  EXPECT_THAT(complaint(encode_frame(RUNHV_MSG_WARNING, as_bytes("1234"))), HasSubstr("too short"));
  EXPECT_THAT(complaint(encode_frame(RUNHV_MSG_FAILED, as_bytes("1234"))), HasSubstr("too short"));
  EXPECT_THAT(complaint(encode_frame(RUNHV_MSG_RESOURCES_SET, as_bytes("1234"))),
              HasSubstr("too short"));
  EXPECT_THAT(complaint(frame_of(RUNHV_MSG_RESOURCES_SET, runhv_resources_set{0, 0}, "x")),
              HasSubstr("fails without an errno"));
  EXPECT_THAT(complaint(frame_of(RUNHV_MSG_EXITED, runhv_exited{0, 0, 256, 0})),
              HasSubstr("out of range"));
  EXPECT_THAT(complaint(frame_of(RUNHV_MSG_EXITED, runhv_exited{0, 1, 0, 0})),
              HasSubstr("out of range"));
  EXPECT_THAT(complaint(frame_of(RUNHV_MSG_EXITED, runhv_exited{0, 2, 1, 0})),
              HasSubstr("out of range"));
  EXPECT_THAT(complaint(frame_of(RUNHV_MSG_EXITED, runhv_exited{0, 0, 0, 1})),
              HasSubstr("kills beside a status of 0"));
  EXPECT_THAT(complaint(frame_of(RUNHV_MSG_FAILED, runhv_failed{0, 0, 1, 0})),
              HasSubstr("exit status 1"));
  EXPECT_THAT(complaint(frame_of(0, runhv_frame{})), HasSubstr("unknown type 0"));

  std::vector<std::byte> huge = encode_frame(RUNHV_MSG_FAILED, {});
  store_le<std::uint32_t>(huge, 0, RUNHV_MAX_FRAME_TO_HOST + 1);
  EXPECT_THAT(complaint(huge), HasSubstr("a frame of 65537 bytes"));
}

TEST(AgentMessage, TextFromTheGuestCannotMoveTheCursor) {
  EXPECT_EQ(escape_controls("ok \xc3\xa4"), "ok \xc3\xa4");
  EXPECT_EQ(escape_controls("a\x1b[2J\n\x7f"), "a\\x1b[2J\\x0a\\x7f");
  EXPECT_EQ(escape_controls("\xc2\x9b"), "\\xc2\\x9b");
  EXPECT_EQ(escape_controls("\xff\xe2\x82"), "\\xff\\xe2\\x82");
  EXPECT_EQ(escape_controls("\xed\xa0\x80"), "\\xed\\xa0\\x80");
  EXPECT_EQ(escape_controls("\xe0\x82\x80 \xf4\x90\x80\x80"),
            "\\xe0\\x82\\x80 \\xf4\\x90\\x80\\x80");
  EXPECT_EQ(escape_controls("\xed\x9f\xbf\xf4\x8f\xbf\xbf"), "\xed\x9f\xbf\xf4\x8f\xbf\xbf");
}

}  // namespace
}  // namespace runhv::container
