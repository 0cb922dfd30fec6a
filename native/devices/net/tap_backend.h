// A network device's other end as an interface of the host's kernel.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "devices/net/net_backend.h"
#include "platform/tap.h"

namespace runhv::devices {

class TapBackend final : public NetBackend {
 public:
  // Ready on `loop`'s thread, where it is made and destroyed; `loop` outlives it.
  static Result<std::unique_ptr<TapBackend>> create(platform::Tap tap, platform::EventLoop& loop);

  void on_ready(std::function<void()> ready) override;
  void set_guest_offloads(const NetOffloads& offloads) override;
  bool send(std::span<const std::span<const std::byte>> parts) override;
  std::size_t receive(std::span<const std::span<std::byte>> parts) override;

 private:
  explicit TapBackend(platform::Tap tap) : tap_(std::move(tap)) {}
  platform::Tap tap_;
  std::function<void()> ready_;
};

}  // namespace runhv::devices
