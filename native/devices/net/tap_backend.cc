#include "devices/net/tap_backend.h"

#include "base/log.h"

namespace runhv::devices {

static_assert(kMaxFrameParts <= platform::Tap::kMaxParts);

Result<std::unique_ptr<TapBackend>> TapBackend::create(platform::Tap tap,
                                                       platform::EventLoop& loop) {
  std::unique_ptr<TapBackend> backend(new TapBackend(std::move(tap)));
  RUNHV_TRY(backend->tap_.bind(loop));
  return backend;
}

void TapBackend::on_ready(std::function<void()> ready) {
  if (!ready) {
    tap_.on_readable(nullptr);
    tap_.on_writable(nullptr);
  }
  ready_ = std::move(ready);
}

void TapBackend::set_guest_offloads(const NetOffloads& offloads) {
  const auto set = tap_.leave_to_reader(offloads.checksum, offloads.tcp4, offloads.tcp6);
  // The kernel then does more itself.
  if (!set) debug_log("net", "%s", to_string(set.error()).c_str());
}

bool TapBackend::send(std::span<const std::span<const std::byte>> parts) {
  if (tap_.write(parts).status != platform::IoStatus::kWouldBlock) return true;
  tap_.on_writable(ready_);
  return false;
}

std::size_t TapBackend::receive(std::span<const std::span<std::byte>> parts) {
  const platform::IoResult result = tap_.read(parts);
  if (result.status == platform::IoStatus::kDone) return result.bytes;
  // A tap whose interface was deleted has no more frames, and is always ready.
  if (result.status == platform::IoStatus::kWouldBlock) tap_.on_readable(ready_);
  return 0;
}

}  // namespace runhv::devices
