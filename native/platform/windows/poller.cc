#include "platform/poller.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/check.h"
#include "platform/clock.h"
#include "platform/os_error.h"
#include "platform/windows/system.h"

namespace runhv::platform {
namespace {

constexpr ULONG_PTR kWakeId = 0;

// The thread pool waits for the handles, 63 on each of its threads, and a packet of the port tells
// that one is set. So there is no limit of 64, and nothing of ours is called by a thread of theirs.
class CompletionPort final : public Poller {
 public:
  explicit CompletionPort(UniqueHandle port) : port_(std::move(port)) {}
  ~CompletionPort() override { forget_all(); }

  Result<bool> watch(std::uint64_t id, OsHandle handle) override {
    auto watched = std::make_unique<Watched>(Watched{native(port_), id, native(handle)});
    watched->wait = ::CreateThreadpoolWait(tell, watched.get(), nullptr);
    if (watched->wait == nullptr) return Fail{last_os_error("watch a handle")};
    const std::lock_guard lock(mutex_);
    watched_.emplace(id, std::move(watched));
    return true;
  }

  // A handle here is set or not, for whichever reason one wants to know.
  void arm(std::uint64_t id, bool readable, bool writable) override {
    const std::lock_guard lock(mutex_);
    Watched& watched = *watched_.at(id);
    disarm(watched);
    if (!readable && !writable) return;
    watched.armed = true;
    ::SetThreadpoolWait(watched.wait, watched.handle, nullptr);
  }

  void forget(std::uint64_t id) override {
    const std::lock_guard lock(mutex_);
    const auto found = watched_.find(id);
    if (found == watched_.end()) return;
    end(*found->second);
    watched_.erase(found);
  }

  void forget_all() override {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, watched] : watched_) end(*watched);
    watched_.clear();
  }

  void wake() override {
    RUNHV_CHECK(::PostQueuedCompletionStatus(native(port_), 0, kWakeId, nullptr) != 0);
  }

  void prepare(std::uint64_t until_ns) override {
    until_ns_ = until_ns;
    found_.clear();
    if (until_ns > monotonic_ns()) return;
    // Without a wait, the packet of what is set by now may not be there yet.
    const std::lock_guard lock(mutex_);
    for (const auto& [id, watched] : watched_) {
      if (!watched->armed || ::WaitForSingleObject(watched->handle, 0) != WAIT_OBJECT_0) continue;
      disarm(*watched);
      found_.push_back({id, true, true});
    }
  }

  void end_wait_by(std::uint64_t deadline_ns) override {
    if (deadline_ns < until_ns_) wake();
  }

  Result<std::span<const Ready>> wait() override {
    std::array<OVERLAPPED_ENTRY, 64> entries{};
    ULONG count = 0;
    while (true) {
      const DWORD timeout = found_.empty() ? milliseconds_left() : 0;
      if (::GetQueuedCompletionStatusEx(native(port_), entries.data(),
                                        static_cast<ULONG>(entries.size()), &count, timeout,
                                        FALSE)) {
        break;
      }
      count = 0;
      if (::GetLastError() != WAIT_TIMEOUT) return Fail{last_os_error("wait for events")};
      // A wait may end a little early.
      if (timeout == 0 || monotonic_ns() >= until_ns_) break;
    }
    ready_ = found_;
    const std::lock_guard lock(mutex_);
    for (const OVERLAPPED_ENTRY& entry : std::span(entries).first(count)) {
      if (entry.lpCompletionKey != kWakeId) take_packet(entry.lpCompletionKey);
    }
    return std::span<const Ready>(ready_);
  }

 private:
  struct Watched {
    HANDLE port;
    std::uint64_t id;
    HANDLE handle;
    PTP_WAIT wait = nullptr;
    bool armed = false;  // tell() is called when the handle is set, or was
  };

  static void CALLBACK tell(PTP_CALLBACK_INSTANCE, void* context, PTP_WAIT, TP_WAIT_RESULT) {
    const auto* watched = static_cast<const Watched*>(context);
    RUNHV_CHECK(::PostQueuedCompletionStatus(watched->port, 0, watched->id, nullptr) != 0);
  }

  // REQUIRES: mutex_. A packet may be late: of a source that is gone or was told meanwhile; or of a
  // wait before this one, whose end the pool saw when this one had begun (Wine 8, 2026-11-30). The
  // handle knows.
  void take_packet(std::uint64_t id) {
    const auto found = watched_.find(id);
    if (found == watched_.end() || !found->second->armed) return;
    Watched& watched = *found->second;
    if (::WaitForSingleObject(watched.handle, 0) == WAIT_OBJECT_0) {
      disarm(watched);  // another packet of it may be on its way
      ready_.push_back({id, true, true});
    } else {
      ::SetThreadpoolWait(watched.wait, watched.handle, nullptr);
    }
  }

  // Afterwards no call of tell() is under way, and none begins.
  static void disarm(Watched& watched) {
    if (!watched.armed) return;
    watched.armed = false;
    ::SetThreadpoolWait(watched.wait, nullptr, nullptr);
    ::WaitForThreadpoolWaitCallbacks(watched.wait, TRUE);
  }

  static void end(Watched& watched) {
    disarm(watched);
    ::CloseThreadpoolWait(watched.wait);
  }

  // Rounded up; 0 where there is nothing to wait for.
  DWORD milliseconds_left() const {
    if (until_ns_ == UINT64_MAX) return INFINITE;
    const std::uint64_t now = monotonic_ns();
    if (now >= until_ns_) return 0;
    return static_cast<DWORD>(
        std::min<std::uint64_t>((until_ns_ - now + 999'999) / 1'000'000, INFINITE - 1));
  }

  const UniqueHandle port_;
  std::mutex mutex_;  // wait() reads what other threads change
  std::map<std::uint64_t, std::unique_ptr<Watched>> watched_;
  std::uint64_t until_ns_ = 0;
  std::vector<Ready> found_;  // without a packet
  std::vector<Ready> ready_;
};

}  // namespace

Result<std::unique_ptr<Poller>> Poller::create() {
  UniqueHandle port = own(::CreateIoCompletionPort(INVALID_HANDLE_VALUE, nullptr, 0, 1));
  if (!port.is_open()) return Fail{last_os_error("make an event loop")};
  return std::unique_ptr<Poller>(std::make_unique<CompletionPort>(std::move(port)));
}

}  // namespace runhv::platform
