#include "oci/gate.h"

#include <array>

#include "platform/event_loop.h"
#include "platform/stream.h"

namespace runhv::oci {

Result<Gate> Gate::make() {
  RUNHV_TRY_ASSIGN(auto ends, platform::LocalConnection::pair());
  return Gate(std::move(ends.first), std::move(ends.second));
}

void Gate::open() {
  const std::array<std::byte, 1> byte{};
  static_cast<void>(ours_->write(byte));
}

bool Gate::wait() {
  ours_.reset();
  platform::Stream stream = *platform::Stream::adopt_owned(std::move(theirs_).release(), true);
  std::array<std::byte, 1> byte;
  const auto loop = platform::EventLoop::create();
  if (!loop || !stream.bind(**loop)) return false;
  while (true) {
    const platform::IoResult read = stream.read(byte);
    if (read.status != platform::IoStatus::kWouldBlock) {
      return read.status == platform::IoStatus::kDone;
    }
    stream.on_readable([] {});
    if (!(*loop)->run_once(std::nullopt)) return false;
  }
}

}  // namespace runhv::oci
