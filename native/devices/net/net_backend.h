// Where a network device's frames go to and come from: a tap, a user-mode network, a test.
//
// A frame is the header of virtio 1.2 §5.1.6 (12 bytes, little-endian), then Ethernet without the
// check sequence at its end.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

namespace runhv::devices {

inline constexpr std::size_t kNetHeaderBytes = 12;
// An IP packet of 64 KiB less one byte, in Ethernet with a VLAN tag; without the header.
inline constexpr std::size_t kMaxFrameBytes = 65535 + 18;
inline constexpr std::size_t kMaxFrameParts = 1024;

// What the guest does itself for frames that it receives. Segmentation goes with the checksum.
struct NetOffloads {
  bool checksum = false;
  bool tcp4 = false;
  bool tcp6 = false;
};

// Threads: receive(), send() and set_guest_offloads() come with the device's lock held, one at a
// time, from any thread. They must not block and must not call the device.
class NetBackend {
 public:
  virtual ~NetBackend() = default;

  // Before the first frame, and with an empty handler after the last. `ready` is called when there
  // may be a frame after receive() gave none, or room after send() took none; it may come for
  // nothing. Threads: on_ready's, the owner's; `ready` comes on any, but not inside a call of the
  // backend.
  virtual void on_ready(std::function<void()> ready) = 0;

  // The guest has negotiated these. A frame that would need more is made ready by the backend.
  virtual void set_guest_offloads(const NetOffloads& offloads) = 0;

  // From the guest. The first part is the header, and checked: it asks for what was offered, and
  // each offset lies in the frame. The other parts are guest memory, which the guest may change at
  // any moment. At most kMaxFrameParts. False: there is no room, and nothing was taken. A frame
  // that the host refuses is taken, and lost.
  virtual bool send(std::span<const std::span<const std::byte>> parts) = 0;

  // To the guest: writes the next frame, header first, into `parts` one after another, and returns
  // its bytes; 0: there is none now. What does not fit is cut off. The parts are guest memory:
  // written once, not read back. Of the header the last two bytes are the device's. At most
  // kMaxFrameParts.
  virtual std::size_t receive(std::span<const std::span<std::byte>> parts) = 0;
};

}  // namespace runhv::devices
