// A hostile driver for any virtio device, which does what a fuzz target's input says: registers in
// any order with any value, and rings full of nearly right requests.
#pragma once

#include <functional>
#include <span>

#include "devices/virtio/mmio_transport.h"
#include "memory/guest_memory.h"
#include "testing/fuzz.h"

namespace runhv::testing {

struct HostileDriver {
  // Fills the start of a buffer with what a request of this device could look like.
  std::function<void(FuzzInput& input, std::span<std::byte> out)> make_request;
  // What else can happen to the device, from the host's side.
  std::function<void(FuzzInput& input)> something_else = [](FuzzInput&) {};

  // To the end of the input.
  void run(FuzzInput& input, devices::MmioTransport& transport,
           const memory::GuestMemory& memory) const;
};

}  // namespace runhv::testing
