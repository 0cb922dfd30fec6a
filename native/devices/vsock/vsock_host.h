// The host's half of virtio-vsock: what answers when the guest connects to a port of CID 2.
//
// Flow control is the device's: an endpoint that takes fewer bytes than it is offered gives the
// guest no credit, and the guest's writer blocks.
//
// Threads: all calls on services and endpoints are made with the device's lock held, one at a time,
// from a virtual processor's thread or any other. They must not block and must not call back
// into the device, except through VsockWaker, which may be called from anywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace runhv::devices {

// Names one connection for the device's life; never reused.
using VsockConnectionId = std::uint64_t;

class VsockEndpoint {
 public:
  virtual ~VsockEndpoint() = default;

  // Guest -> host. Returns how many bytes were taken, in order; fewer than offered means "later":
  // the device offers the rest after VsockWaker::wake.
  virtual std::size_t receive(std::span<const std::byte> data) = 0;

  // Host -> guest. Fills `out` (which is guest memory: write once, do not read back) and returns
  // the bytes written; 0 means nothing now. The device asks again after VsockWaker::wake or new
  // credit.
  virtual std::size_t send(std::span<std::byte> out) = 0;

  // True when send() will never have more: the device then tells the guest (SHUTDOWN, send side).
  virtual bool send_finished() const = 0;

  // True when the endpoint is done with the connection: the device resets it.
  virtual bool closed() const = 0;

  // The guest will send no more; everything it sent has been offered and taken.
  virtual void on_guest_finished() = 0;

  // The connection is gone (guest reset, device reset, VM end). The last call before destruction.
  virtual void on_disconnect() = 0;
};

class VsockService {
 public:
  virtual ~VsockService() = default;
  // The guest connects from `guest_port` to `host_port`. Null refuses (RST).
  virtual std::unique_ptr<VsockEndpoint> accept(VsockConnectionId id, std::uint32_t guest_port,
                                                std::uint32_t host_port) = 0;
};

class VsockWaker {
 public:
  virtual ~VsockWaker() = default;
  // "Look at this connection again": its endpoint can take or give bytes, or has finished. An
  // unknown id is ignored. What is more than one turn's work goes on without the caller. Threads:
  // any, except from inside an endpoint's call.
  virtual void wake(VsockConnectionId id) = 0;
};

}  // namespace runhv::devices
