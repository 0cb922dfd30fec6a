#include <algorithm>

#include "base/check.h"
#include "devices/vsock/connection.h"
#include "testing/virtio_fuzz.h"
#include "testing/vsock_guest.h"

namespace runhv::devices {
namespace {

using testing::FuzzInput;
using testing::ScriptedService;
using testing::VsockGuest;

void make_packet(FuzzInput& input, std::span<std::byte> out) {
  if (out.size() < kVsockHeaderBytes) return;
  const std::uint8_t odd = input.byte();
  const auto odd_or = [&](std::uint8_t bit, std::uint64_t usual) {
    return (odd >> bit & 1) != 0 ? input.take<std::uint64_t>() : usual;
  };
  VsockHeader header{.source_cid = (odd & 3) == 3 ? input.take<std::uint64_t>() : 3,
                     .destination_cid = (odd & 12) == 12 ? input.take<std::uint64_t>() : 2,
                     .source_port = input.byte(),
                     .destination_port = 9 + input.below(2),
                     .payload_bytes = static_cast<std::uint32_t>(odd_or(
                         4, input.take<std::uint16_t>() % (out.size() - kVsockHeaderBytes + 1))),
                     .type = static_cast<std::uint16_t>(odd_or(5, 1)),
                     .op = static_cast<std::uint16_t>(input.below(9)),
                     .flags = input.below(4),
                     .buffer_bytes = static_cast<std::uint32_t>(odd_or(6, 65536)),
                     .forwarded_bytes = static_cast<std::uint32_t>(odd_or(7, 0))};
  const auto bytes = store_vsock_header(header);
  std::copy(bytes.begin(), bytes.end(), out.begin());
}

// Endpoints take more, have more to send, finish and close.
void act(FuzzInput& input, ScriptedService& service, VsockGuest& guest) {
  if (service.scripts.empty()) return;
  testing::EndpointScript& script = *service.scripts[input.byte() % service.scripts.size()];
  switch (input.below(5)) {
    case 0:
      script.takes = input.take<std::uint16_t>();
      break;
    case 1:
      script.to_send = std::string(input.take<std::uint16_t>() % 8192, 's');
      break;
    case 2:
      script.send_finished = true;
      break;
    case 3:
      script.closed = true;
      break;
    default:
      break;
  }
  guest.device->wake(script.id);
}

}  // namespace
}  // namespace runhv::devices

void runhv::testing::fuzz(std::span<const std::byte> bytes) {
  FuzzInput input(bytes);
  ScriptedService service;
  service.next.to_send = std::string(input.take<std::uint16_t>() % 2048, 's');
  const std::uint16_t takes = input.take<std::uint16_t>();
  service.next.takes = takes % 4 == 0 ? takes : SIZE_MAX;
  VsockGuest guest(service);
  // Each endpoint hears of its end once, and so many are open at most.
  const auto check_connections = [&] {
    std::size_t open = 0;
    for (const auto& script : service.scripts) {
      RUNHV_CHECK(script->disconnected <= 1 && script->guest_finished <= 1);
      open += script->disconnected == 0 ? 1 : 0;
    }
    RUNHV_CHECK(open <= devices::VsockDevice::kMaxConnections);
  };

  testing::HostileDriver{.make_request = devices::make_packet,
                         .something_else =
                             [&](FuzzInput& more) {
                               devices::act(more, service, guest);
                               check_connections();
                             }}
      .run(input, guest.transport, *guest.memory);
  check_connections();

  guest.start(8);
  for (const auto& script : service.scripts) RUNHV_CHECK(script->disconnected == 1);
  RUNHV_CHECK(guest.connect());
  guest.send(devices::VsockOp::kData, "still here");
  RUNHV_CHECK(service.scripts.back()->received ==
              std::string("still here").substr(0, takes % 4 == 0 ? takes : SIZE_MAX));
}
