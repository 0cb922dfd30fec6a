// What a client asks for: a frame, checked as far as that can be done without a container.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "container/network_messages.h"
#include "control/frame.h"

namespace runhv::control {

struct HelloRequest {
  std::uint32_t version;
  bool wants_events;
};
struct StateRequest {};
struct StartRequest {};
struct SignalRequest {
  runhv_process process;
  std::int32_t signal;
};
struct StopRequest {
  std::int32_t signal;
  std::uint32_t grace_ms;
};
struct PauseRequest {};
struct ResumeRequest {};
struct StatisticsRequest {};

// Where a stream has its end on the host.
struct StreamEnd {
  runhv_control_end kind = RUNHV_CONTROL_END_NONE;
  std::uint64_t token = 0;  // with RUNHV_CONTROL_END_STREAM, not 0
};

struct ProcessStartRequest {
  std::string text;  // the JSON, or of JOIN the container's name
  std::uint32_t flags;
  std::uint16_t columns;
  std::uint16_t rows;
  runhv_process container;
  std::array<StreamEnd, 3> ends;
  std::uint32_t descriptors;  // that come after those of `ends`
};
struct NetworkOfJoin {
  std::vector<std::uint16_t> mtus;  // of its taps, which are the last descriptors of the frame
  std::vector<container::NetworkMessage> messages;
};
struct JoinRequest {
  ProcessStartRequest process;
  std::optional<NetworkOfJoin> network;  // of its own
};
struct ResizeRequest {
  runhv_process process;
  std::uint16_t columns;
  std::uint16_t rows;
};
struct UpdateRequest {
  std::string json;
  runhv_process container;
};
struct AttachRequest {
  runhv_process process;
  std::int32_t stream;  // 0, 1, 2
  StreamEnd end;
};
struct StreamRequest {
  std::uint64_t token;  // not 0
};

using Request =
    std::variant<HelloRequest, StateRequest, StartRequest, SignalRequest, StopRequest, PauseRequest,
                 ResumeRequest, StatisticsRequest, ProcessStartRequest, ResizeRequest,
                 AttachRequest, StreamRequest, UpdateRequest, JoinRequest>;

// kUnsupported for a type that this version does not know; else what is wrong with the payload.
// The descriptors that come with the frame are as many as its ends name.
Result<Request> parse_request(const Frame& frame);

}  // namespace runhv::control
