#include "oci/wait.h"

#include "platform/clock.h"
#include "platform/event_loop.h"
#include "platform/process.h"

namespace runhv::oci {

Result<bool> wait_for_end(std::uint64_t pid, std::uint64_t deadline_ns) {
  auto process = platform::ProcessEnd::watch(pid);
  if (!process && process.error().code == Code::kNotFound) return true;
  if (!process) return Fail{std::move(process).error()};
  RUNHV_TRY_ASSIGN(const auto loop, platform::EventLoop::create());
  RUNHV_TRY(process->bind(*loop));
  bool ended = false;
  process->on_end([&ended] { ended = true; });
  while (!ended && platform::monotonic_ns() < deadline_ns) RUNHV_TRY(loop->run_once(deadline_ns));
  return ended;
}

}  // namespace runhv::oci
