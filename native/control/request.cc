#include "control/request.h"

#include <algorithm>

#include "container/agent_request.h"
#include "container/container.h"

namespace runhv::control {
namespace {

constexpr std::uint32_t kMinMtu = 68;  // virtio 1.2 §5.1.4.1

Fail<Error> invalid(const std::string& detail, Code code = Code::kInvalidArgument) {
  return Fail{Error{code, "read a control request", detail}};
}

Result<StreamEnd> read_end(std::uint32_t kind, std::uint64_t token) {
  switch (kind) {
    case RUNHV_CONTROL_END_NONE:
    case RUNHV_CONTROL_END_HANDLE:
      return StreamEnd{static_cast<runhv_control_end>(kind), 0};
    case RUNHV_CONTROL_END_STREAM:
      if (token == 0) return invalid("a token of 0");
      return StreamEnd{RUNHV_CONTROL_END_STREAM, token};
    default:
      return invalid(std::to_string(kind) + " is no end of a stream");
  }
}

Result<Request> read_hello(std::span<const std::byte> payload) {
  RUNHV_TRY_ASSIGN(const auto hello, take_structure<runhv_control_hello>(payload));
  return Request(HelloRequest{hello.version, (hello.flags & RUNHV_CONTROL_WANTS_EVENTS) != 0});
}

Result<Request> read_signal(std::span<const std::byte> payload) {
  RUNHV_TRY_ASSIGN(const auto signal, take_structure<runhv_control_signal>(payload));
  return Request(SignalRequest{signal.process, signal.signal});
}

Result<Request> read_stop(std::span<const std::byte> payload) {
  RUNHV_TRY_ASSIGN(const auto stop, take_structure<runhv_control_stop>(payload));
  return Request(StopRequest{stop.signal, stop.grace_ms});
}

Fail<Error> wrong_json(std::uint32_t bytes, std::size_t there) {
  return invalid("json_bytes of " + std::to_string(bytes) + ", and " + std::to_string(there) +
                 " are there; the most is " + std::to_string(RUNHV_MAX_PROCESS_JSON_BYTES));
}

// From the front of `payload`.
Result<std::string> take_json(std::uint32_t bytes, std::span<const std::byte>& payload) {
  if (bytes > RUNHV_MAX_PROCESS_JSON_BYTES || bytes > payload.size()) {
    return wrong_json(bytes, payload.size());
  }
  std::string json(reinterpret_cast<const char*>(payload.data()), bytes);
  payload = payload.subspan(bytes);
  return json;
}

// All of it.
Result<std::string> read_json(std::uint32_t bytes, std::span<const std::byte> payload) {
  if (bytes != payload.size()) return wrong_json(bytes, payload.size());
  return take_json(bytes, payload);
}

Result<ProcessStartRequest> read_process(const runhv_control_process_start& start,
                                         std::string text) {
  constexpr std::uint32_t kFlags = std::uint32_t{RUNHV_PROCESS_TERMINAL | RUNHV_PROCESS_ARCHIVE} |
                                   std::uint32_t{RUNHV_CONTROL_ENDS_WITH_CLIENT};
  if ((start.flags & ~kFlags) != 0) {
    return invalid("flags has an unknown bit");
  }
  if (start.descriptors > container::kMaxDescriptors) {
    return invalid(std::to_string(start.descriptors) + " descriptors beside the streams; at most " +
                   std::to_string(container::kMaxDescriptors) + " are possible");
  }
  ProcessStartRequest request{std::move(text), start.flags, start.columns,    start.rows,
                              start.container, {},          start.descriptors};
  for (std::size_t i = 0; i < request.ends.size(); ++i) {
    RUNHV_TRY_ASSIGN(request.ends[i], read_end(start.ends[i], start.tokens[i]));
  }
  return request;
}

Result<Request> read_process_start(std::span<const std::byte> payload) {
  RUNHV_TRY_ASSIGN(const auto start, take_structure<runhv_control_process_start>(payload));
  RUNHV_TRY_ASSIGN(std::string json, read_json(start.json_bytes, payload));
  if (start.taps != 0) return invalid("taps are of JOIN alone");
  RUNHV_TRY_ASSIGN(ProcessStartRequest process, read_process(start, std::move(json)));
  return Request(std::move(process));
}

Result<NetworkOfJoin> read_network(std::uint32_t taps, std::span<const std::byte> payload) {
  if (taps > RUNHV_CONTROL_MAX_TAPS) {
    return invalid(std::to_string(taps) + " taps; at most " +
                   std::to_string(RUNHV_CONTROL_MAX_TAPS) + " are possible");
  }
  NetworkOfJoin network;
  for (std::uint32_t i = 0; i < taps; ++i) {
    RUNHV_TRY_ASSIGN(const auto tap, take_structure<runhv_control_tap>(payload));
    if (tap.mtu < kMinMtu || tap.mtu > UINT16_MAX) {
      return invalid(std::to_string(tap.mtu) + " is no MTU; they are 68 to 65535");
    }
    network.mtus.push_back(static_cast<std::uint16_t>(tap.mtu));
  }
  RUNHV_TRY_ASSIGN(network.messages, container::decode_network(payload, taps));
  return network;
}

Result<Request> read_join(std::span<const std::byte> payload) {
  RUNHV_TRY_ASSIGN(auto start, take_structure<runhv_control_process_start>(payload));
  const bool own_network = (start.flags & RUNHV_CONTROL_OWN_NETWORK) != 0;
  start.flags &= ~std::uint32_t{RUNHV_CONTROL_OWN_NETWORK};
  RUNHV_TRY_ASSIGN(std::string name, own_network ? take_json(start.json_bytes, payload)
                                                 : read_json(start.json_bytes, payload));
  RUNHV_TRY(container::check_container_id(name));
  if (start.container != RUNHV_FIRST_PROCESS) return invalid("it joins the VM, and no container");
  if ((start.flags & RUNHV_PROCESS_ARCHIVE) != 0) return invalid("its program is no archive");
  RUNHV_TRY_ASSIGN(ProcessStartRequest process, read_process(start, std::move(name)));
  JoinRequest join{std::move(process), std::nullopt};
  if (own_network) {
    RUNHV_TRY_ASSIGN(join.network, read_network(start.taps, payload));
  } else if (start.taps != 0) {
    return invalid("taps, and no network of its own");
  }
  return Request(std::move(join));
}

Result<Request> read_resize(std::span<const std::byte> payload) {
  RUNHV_TRY_ASSIGN(const auto resize, take_structure<runhv_control_resize>(payload));
  return Request(ResizeRequest{resize.process, resize.columns, resize.rows});
}

Result<Request> read_update(std::span<const std::byte> payload) {
  RUNHV_TRY_ASSIGN(const auto update, take_structure<runhv_control_update>(payload));
  RUNHV_TRY_ASSIGN(std::string json, read_json(update.json_bytes, payload));
  return Request(UpdateRequest{std::move(json), update.container});
}

Result<Request> read_attach(std::span<const std::byte> payload) {
  RUNHV_TRY_ASSIGN(const auto attach, take_structure<runhv_control_attach>(payload));
  if (attach.stream < RUNHV_STDIN || attach.stream > RUNHV_STDERR) {
    return invalid(std::to_string(attach.stream) + " is no stream; they are 0, 1, 2");
  }
  RUNHV_TRY_ASSIGN(const StreamEnd end, read_end(attach.end, attach.token));
  return Request(AttachRequest{attach.process, attach.stream, end});
}

Result<Request> read_stream(std::span<const std::byte> payload) {
  RUNHV_TRY_ASSIGN(const auto stream, take_structure<runhv_control_stream>(payload));
  if (stream.token == 0) return invalid("a token of 0");
  return Request(StreamRequest{stream.token});
}

Result<Request> read_payload(const Frame& frame) {
  switch (frame.header.type) {
    case RUNHV_CONTROL_HELLO:
      return read_hello(frame.payload);
    case RUNHV_CONTROL_STATE:
      return Request(StateRequest{});
    case RUNHV_CONTROL_START:
      return Request(StartRequest{});
    case RUNHV_CONTROL_SIGNAL:
      return read_signal(frame.payload);
    case RUNHV_CONTROL_STOP:
      return read_stop(frame.payload);
    case RUNHV_CONTROL_PAUSE:
      return Request(PauseRequest{});
    case RUNHV_CONTROL_RESUME:
      return Request(ResumeRequest{});
    case RUNHV_CONTROL_STATISTICS:
      return Request(StatisticsRequest{});
    case RUNHV_CONTROL_PROCESS_START:
      return read_process_start(frame.payload);
    case RUNHV_CONTROL_JOIN:
      return read_join(frame.payload);
    case RUNHV_CONTROL_RESIZE:
      return read_resize(frame.payload);
    case RUNHV_CONTROL_ATTACH:
      return read_attach(frame.payload);
    case RUNHV_CONTROL_STREAM:
      return read_stream(frame.payload);
    case RUNHV_CONTROL_UPDATE:
      return read_update(frame.payload);
    default:
      return invalid(std::to_string(frame.header.type) + " is no request of version " +
                         std::to_string(RUNHV_CONTROL_VERSION),
                     Code::kUnsupported);
  }
}

std::size_t handles_named(const Request& request) {
  const auto of = [](const StreamEnd& end) { return end.kind == RUNHV_CONTROL_END_HANDLE; };
  const auto of_process = [&](const ProcessStartRequest& start) {
    return static_cast<std::size_t>(std::ranges::count_if(start.ends, of)) + start.descriptors;
  };
  if (const auto* start = std::get_if<ProcessStartRequest>(&request)) return of_process(*start);
  if (const auto* join = std::get_if<JoinRequest>(&request)) {
    return of_process(join->process) + (join->network ? join->network->mtus.size() : 0);
  }
  if (const auto* attach = std::get_if<AttachRequest>(&request)) return of(attach->end) ? 1 : 0;
  return 0;
}

}  // namespace

Result<Request> parse_request(const Frame& frame) {
  RUNHV_TRY_ASSIGN(Request request, read_payload(frame));
  if (const std::size_t named = handles_named(request); named != frame.header.handles) {
    return invalid("it names " + std::to_string(named) + " descriptors and brings " +
                   std::to_string(frame.header.handles));
  }
  return request;
}

}  // namespace runhv::control
