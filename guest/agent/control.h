// The connection over which the host and the agent speak (guest/proto/README.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "failure.h"
#include "frame.h"

namespace runhv::agent {

// The end of the machine.
[[noreturn]] void power_off();

// Where the host has gone, or breaks the protocol, nobody is left to run for: the machine ends.
class Control {
 public:
  // `buffer`: FrameReader::kRoom bytes that outlive it.
  explicit Control(std::byte* buffer) : frames_(buffer) {}

  // Connects, and says HELLO.
  bool open(Failure& failure);
  int descriptor() const { return descriptor_; }

  // Reads once. Nothing may be there, with MSG_DONTWAIT.
  void receive(int flags);
  // The next whole frame of what was read; false: there is none.
  bool next(Frame& out);

  void send(std::uint16_t type, const void* payload, std::size_t size, std::string_view text = {});
  void send_id(std::uint16_t type, std::uint32_t process, std::string_view text = {});
  // `head`, and what `failure` says of itself.
  template <typename Head>
  void send_text(std::uint16_t type, const Head& head, const Failure& failure) {
    // A path of an image may hold any byte, the protocol's text must be UTF-8.
    Text<512> text;
    text.add_printable(failure.text.view());
    send(type, &head, sizeof head, text.view());
  }
  void send_failure(std::uint32_t process, const Failure& failure);

 private:
  int descriptor_ = -1;
  FrameReader frames_;
};

}  // namespace runhv::agent
