#include "control.h"

#include <string.h>

#include "runhv_agent.h"
#include "sys.h"
#include "vsock.h"

namespace runhv::agent {

void power_off() {
  for (;;) sys::outb(RUNHV_PORT_EXIT, 0);
}

bool Control::open(Failure& failure) {
  descriptor_ = vsock_connect(RUNHV_CONTROL_PORT, 0);
  if (descriptor_ < 0) return failure.set(descriptor_, "connect to the host");
  const runhv_hello hello = {RUNHV_PROTO_MAGIC, RUNHV_PROTO_VERSION, 0};
  send(RUNHV_MSG_HELLO, &hello, sizeof hello);
  return true;
}

void Control::receive(int flags) {
  const std::span<std::byte> room = frames_.room();
  const long result = sys::recv(descriptor_, room.data(), room.size(), flags);
  if (result == -EAGAIN || result == -EINTR) return;
  if (result <= 0) power_off();
  frames_.received(static_cast<std::size_t>(result));
}

bool Control::next(Frame& out) {
  const FrameReader::Next next = frames_.next(out);
  if (next == FrameReader::Next::kBroken) power_off();
  return next == FrameReader::Next::kFrame;
}

void Control::send(std::uint16_t type, const void* payload, std::size_t size,
                   std::string_view text) {
  // One packet: a packet costs the host an exit.
  std::byte out[sizeof(runhv_frame) + sizeof(runhv_failed) + sizeof(Text<512>)];
  const runhv_frame header = {static_cast<std::uint32_t>(size + text.size()), type, 0};
  memcpy(out, &header, sizeof header);
  memcpy(out + sizeof header, payload, size);
  memcpy(out + sizeof header + size, text.data(), text.size());
  const std::size_t total = sizeof header + size + text.size();
  for (std::size_t sent = 0; sent < total;) {
    const long result = sys::send(descriptor_, out + sent, total - sent, 0);
    if (result < 0 && result != -EINTR) power_off();
    if (result > 0) sent += static_cast<std::size_t>(result);
  }
}

void Control::send_id(std::uint16_t type, std::uint32_t process, std::string_view text) {
  const runhv_process_id id = {process, 0};
  send(type, &id, sizeof id, text);
}

void Control::send_failure(std::uint32_t process, const Failure& failure) {
  const runhv_failed failed = {process, failure.guest_errno, failure.exit_status, 0};
  send_text(RUNHV_MSG_FAILED, failed, failure);
}

}  // namespace runhv::agent
