#include "control/frame.h"

#include <string_view>

#include "container/agent_request.h"
#include "control/request.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runhv::control {
namespace {

using ::testing::HasSubstr;

template <class T>
std::vector<std::byte> frame_of(std::uint32_t type, const T& structure, std::string_view more = "",
                                std::uint16_t handles = 0) {
  std::vector<std::byte> payload(structure_bytes(structure).begin(),
                                 structure_bytes(structure).end());
  for (const char c : more) payload.push_back(static_cast<std::byte>(c));
  return encode_frame(type, 7, payload, handles);
}

Result<Request> parsed(std::span<const std::byte> bytes) {
  FrameReader reader(RUNHV_CONTROL_MAX_PAYLOAD);
  reader.append(bytes);
  auto frame = reader.next();
  if (!frame) return Fail{frame.error()};
  EXPECT_TRUE(frame->has_value());
  return parse_request(**frame);
}

std::string complaint(std::span<const std::byte> bytes) {
  const auto request = parsed(bytes);
  return request ? "accepted" : request.error().detail;
}

TEST(FrameReader, GivesFramesHoweverTheirBytesCome) {
  auto signal = api::sized<runhv_control_signal>();
  signal.signal = 15;
  std::vector<std::byte> bytes = frame_of(RUNHV_CONTROL_SIGNAL, signal);
  const auto state = encode_frame(RUNHV_CONTROL_STATE, 9, {});
  bytes.insert(bytes.end(), state.begin(), state.end());

  for (std::size_t step : {std::size_t{1}, std::size_t{5}, bytes.size()}) {
    FrameReader reader(RUNHV_CONTROL_MAX_PAYLOAD);
    std::vector<Frame> frames;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      reader.append(std::span(bytes).subspan(at, std::min(step, bytes.size() - at)));
      for (auto frame = reader.next(); *frame; frame = reader.next()) frames.push_back(**frame);
    }
    ASSERT_EQ(frames.size(), 2u);
    EXPECT_EQ(frames[0].header.type, RUNHV_CONTROL_SIGNAL);
    EXPECT_EQ(frames[0].header.request, 7u);
    EXPECT_EQ(frames[0].payload.size(), sizeof signal);
    EXPECT_EQ(frames[1].header.request, 9u);
    EXPECT_EQ(reader.pending_bytes(), 0u);
  }
}

TEST(FrameReader, RefusesAHeaderBeyondABoundBeforeItsPayloadComes) {
  const auto refusal = [](runhv_control_frame header) {
    FrameReader reader(RUNHV_CONTROL_MAX_ANSWER);
    reader.append(std::as_bytes(std::span(&header, 1)));
    const auto frame = reader.next();
    return frame ? "accepted" : frame.error().detail;
  };
  EXPECT_THAT(refusal({RUNHV_CONTROL_MAX_ANSWER + 1, 2, 0, 1, 0}), HasSubstr("16385 bytes"));
  EXPECT_THAT(refusal({0xffffffff, 2, 0, 1, 0}), HasSubstr("the most is 16384"));
  EXPECT_THAT(refusal({0, 2, RUNHV_CONTROL_MAX_HANDLES + 1, 1, 0}), HasSubstr("17 descriptors"));
  EXPECT_THAT(refusal({0, 2, 0, 1, 5}), HasSubstr("not zero"));
  EXPECT_EQ(refusal({RUNHV_CONTROL_MAX_ANSWER, 2, RUNHV_CONTROL_MAX_HANDLES, 1, 0}), "accepted");
}

TEST(TakeStructure, AShorterOneLacksZerosAndALongerOneIsPassedOver) {
  auto signal = api::sized<runhv_control_signal>();
  signal.process = 3;
  signal.signal = 9;
  signal.struct_size = offsetof(runhv_control_signal, signal);
  auto request = parsed(frame_of(RUNHV_CONTROL_SIGNAL, signal));
  ASSERT_TRUE(request);
  EXPECT_EQ(std::get<SignalRequest>(*request).process, 3u);
  EXPECT_EQ(std::get<SignalRequest>(*request).signal, 0);

  signal.struct_size = sizeof signal + 5;
  auto bytes = std::vector<std::byte>(sizeof signal + 5, std::byte{0xee});
  std::memcpy(bytes.data(), &signal, sizeof signal);
  request = parsed(encode_frame(RUNHV_CONTROL_SIGNAL, 1, bytes));
  ASSERT_TRUE(request);
  EXPECT_EQ(std::get<SignalRequest>(*request).signal, 9);
}

TEST(TakeStructure, ASizeThatCannotBeIsRefused) {
  for (const std::uint32_t size : {0u, 3u, 17u, 0xffffffffu}) {
    auto signal = api::sized<runhv_control_signal>();
    signal.struct_size = size;
    const auto bytes = std::as_bytes(std::span(&signal, 1));
    EXPECT_THAT(complaint(encode_frame(RUNHV_CONTROL_SIGNAL, 1, bytes)),
                HasSubstr("its structure says " + std::to_string(size)));
  }
  EXPECT_THAT(complaint(encode_frame(RUNHV_CONTROL_HELLO, 1, {})), HasSubstr("says 0 bytes"));
}

TEST(ParseRequest, WhatCannotBeIsNamed) {
  auto start = api::sized<runhv_control_process_start>();
  start.json_bytes = 2;
  EXPECT_EQ(complaint(frame_of(RUNHV_CONTROL_PROCESS_START, start, "{}")), "accepted");
  EXPECT_THAT(complaint(frame_of(RUNHV_CONTROL_PROCESS_START, start, "{")),
              HasSubstr("json_bytes of 2, and 1 are there"));
  start.ends[1] = RUNHV_CONTROL_END_HANDLE;
  EXPECT_EQ(complaint(frame_of(RUNHV_CONTROL_PROCESS_START, start, "{}")),
            "it names 1 descriptors and brings 0");
  EXPECT_EQ(complaint(frame_of(RUNHV_CONTROL_PROCESS_START, start, "{}", 1)), "accepted");
  start.ends[2] = RUNHV_CONTROL_END_STREAM;
  EXPECT_EQ(complaint(frame_of(RUNHV_CONTROL_PROCESS_START, start, "{}", 1)), "a token of 0");
  start.ends[2] = 9;
  EXPECT_EQ(complaint(frame_of(RUNHV_CONTROL_PROCESS_START, start, "{}", 1)),
            "9 is no end of a stream");
  start.flags = 4;
  EXPECT_EQ(complaint(frame_of(RUNHV_CONTROL_PROCESS_START, start, "{}", 1)),
            "flags has an unknown bit");

  auto attach = api::sized<runhv_control_attach>();
  attach.stream = 3;
  EXPECT_THAT(complaint(frame_of(RUNHV_CONTROL_ATTACH, attach)), HasSubstr("3 is no stream"));
  attach.stream = -1;
  EXPECT_THAT(complaint(frame_of(RUNHV_CONTROL_ATTACH, attach)), HasSubstr("-1 is no stream"));
  EXPECT_EQ(complaint(frame_of(RUNHV_CONTROL_STREAM, api::sized<runhv_control_stream>())),
            "a token of 0");

  start = api::sized<runhv_control_process_start>();
  start.json_bytes = 2;
  start.taps = 1;
  EXPECT_EQ(complaint(frame_of(RUNHV_CONTROL_PROCESS_START, start, "{}", 1)),
            "taps are of JOIN alone");
  start.flags = RUNHV_CONTROL_OWN_NETWORK;
  start.taps = 0;
  EXPECT_EQ(complaint(frame_of(RUNHV_CONTROL_PROCESS_START, start, "{}")),
            "flags has an unknown bit");

  const auto unknown = parsed(encode_frame(99, 1, {}));
  EXPECT_EQ(unknown.error().code, Code::kUnsupported);
  EXPECT_EQ(unknown.error().detail, "99 is no request of version 1");
  EXPECT_EQ(complaint(encode_frame(RUNHV_CONTROL_STATE, 1, {}, 2)),
            "it names 0 descriptors and brings 2");
}

// JOIN of a container with a network of its own, with `taps` of this MTU and records about them.
std::vector<std::byte> join_of(std::uint32_t taps, std::uint32_t mtu, std::uint16_t handles) {
  auto join = api::sized<runhv_control_process_start>();
  join.flags = RUNHV_CONTROL_OWN_NETWORK;
  join.json_bytes = 3;
  join.taps = taps;
  std::string more = "web";
  container::NetworkState state;
  for (std::uint32_t i = 0; i < taps; ++i) {
    auto tap = api::sized<runhv_control_tap>();
    tap.mtu = mtu;
    more.append(reinterpret_cast<const char*>(&tap), sizeof tap);
    state.emplace(i, platform::NetworkInterface{.name = "eth", .mtu = mtu});
  }
  const auto records = *container::encode_network({}, container::network_messages({}, state), {});
  more.append(reinterpret_cast<const char*>(records.data()), records.size());
  return frame_of(RUNHV_CONTROL_JOIN, join, more, handles);
}

TEST(ParseRequest, AJoinBringsTheNetworkThatItHasForItself) {
  const auto request = parsed(join_of(2, 1400, 2));
  ASSERT_TRUE(request) << to_string(request.error());
  const auto& join = std::get<JoinRequest>(*request);
  EXPECT_EQ(join.process.text, "web");
  ASSERT_TRUE(join.network);
  EXPECT_THAT(join.network->mtus, ::testing::ElementsAre(1400, 1400));
  EXPECT_EQ(join.network->messages.size(), 4u);
  EXPECT_EQ(join.network->messages.back().interface, 1u);

  const auto empty = parsed(join_of(0, 0, 0));
  ASSERT_TRUE(empty);
  EXPECT_TRUE(std::get<JoinRequest>(*empty).network->mtus.empty());

  EXPECT_EQ(complaint(join_of(RUNHV_CONTROL_MAX_TAPS, 68, RUNHV_CONTROL_MAX_TAPS)), "accepted");
  EXPECT_EQ(complaint(join_of(RUNHV_CONTROL_MAX_TAPS + 1, 68, RUNHV_CONTROL_MAX_TAPS + 1)),
            "9 taps; at most 8 are possible");
  EXPECT_EQ(complaint(join_of(1, 67, 1)), "67 is no MTU; they are 68 to 65535");
  EXPECT_EQ(complaint(join_of(1, 65536, 1)), "65536 is no MTU; they are 68 to 65535");
  EXPECT_EQ(complaint(join_of(2, 1400, 1)), "it names 2 descriptors and brings 1");
  EXPECT_EQ(complaint(join_of(0, 1400, 1)), "it names 0 descriptors and brings 1");

  auto shared = api::sized<runhv_control_process_start>();
  shared.json_bytes = 3;
  EXPECT_THAT(complaint(frame_of(RUNHV_CONTROL_JOIN, shared, "web records")),
              HasSubstr("json_bytes of 3, and 11 are there"));
  shared.taps = 1;
  EXPECT_EQ(complaint(frame_of(RUNHV_CONTROL_JOIN, shared, "web", 1)),
            "taps, and no network of its own");
  shared.flags = RUNHV_CONTROL_OWN_NETWORK;
  EXPECT_THAT(complaint(frame_of(RUNHV_CONTROL_JOIN, shared, "web", 1)),
              HasSubstr("its structure says 0 bytes"));
  shared.taps = 0;
  EXPECT_EQ(complaint(frame_of(RUNHV_CONTROL_JOIN, shared, "web record")), "a record is cut off");
  shared.json_bytes = 4;
  EXPECT_THAT(complaint(frame_of(RUNHV_CONTROL_JOIN, shared, "web")),
              HasSubstr("json_bytes of 4, and 3 are there"));
}

}  // namespace
}  // namespace runhv::control
