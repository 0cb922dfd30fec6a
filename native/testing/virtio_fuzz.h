// A hostile driver for any virtio device: registers in any order with any value, and rings full of
// nearly right requests. Reproducible: the seed is all that it depends on.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "devices/virtio/mmio_transport.h"
#include "memory/guest_memory.h"
#include "testing/guest.h"

namespace runhv::testing {

// Fills the start of a buffer with what a request of this device could look like.
using RequestMaker = std::function<void(SeededRandom& random, std::span<std::byte> out)>;

// Afterwards the device must still be one that a good driver can start: returns whether it is.
bool fuzz_device(MmioTransport& transport, const GuestMemory& memory, std::uint64_t seed,
                 unsigned steps, const RequestMaker& make_request);

}  // namespace runhv::testing
