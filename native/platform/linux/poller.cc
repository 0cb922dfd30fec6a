#include "platform/poller.h"

#include <array>
#include <cerrno>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "platform/clock.h"
#include "platform/os_error.h"

namespace runhv {
namespace {

constexpr std::uint64_t kWakeToken = UINT64_MAX;
constexpr std::uint64_t kTimerToken = UINT64_MAX - 1;

class EpollPoller final : public Poller {
 public:
  EpollPoller(UniqueHandle epoll, UniqueHandle event, UniqueHandle timer)
      : epoll_(std::move(epoll)), event_(std::move(event)), timer_(std::move(timer)) {}

  Result<void> watch(OsHandle handle, std::uint64_t token, bool readable, bool writable) override {
    epoll_event event{};
    event.events = (readable ? static_cast<std::uint32_t>(EPOLLIN) : 0u) |
                   (writable ? static_cast<std::uint32_t>(EPOLLOUT) : 0u);
    event.data.u64 = token;
    const int file = static_cast<int>(handle);
    const int epoll = static_cast<int>(epoll_.get());
    // Without an interest, a closed peer would still be reported (EPOLLHUP cannot be masked) and
    // the loop would spin: such a handle is taken out.
    if (event.events == 0) {
      forget(handle);
      return {};
    }
    if (::epoll_ctl(epoll, EPOLL_CTL_MOD, file, &event) == 0) return {};
    if (errno == ENOENT && ::epoll_ctl(epoll, EPOLL_CTL_ADD, file, &event) == 0) return {};
    return Fail{last_os_error("watch a handle")};
  }

  void forget(OsHandle handle) override {
    ::epoll_ctl(static_cast<int>(epoll_.get()), EPOLL_CTL_DEL, static_cast<int>(handle), nullptr);
  }

  Result<std::vector<Ready>> wait(std::optional<std::uint64_t> deadline_ns) override {
    if (deadline_ns.has_value() && *deadline_ns <= monotonic_ns()) return wait_for(0);
    itimerspec when{};
    if (deadline_ns.has_value()) {
      when.it_value.tv_sec = static_cast<time_t>(*deadline_ns / 1'000'000'000);
      when.it_value.tv_nsec = static_cast<long>(*deadline_ns % 1'000'000'000);
    }
    ::timerfd_settime(static_cast<int>(timer_.get()), TFD_TIMER_ABSTIME, &when, nullptr);
    return wait_for(-1);
  }

  void wake() override {
    const std::uint64_t one = 1;
    // EAGAIN means that a wake-up is pending already.
    [[maybe_unused]] const ssize_t ignored =
        ::write(static_cast<int>(event_.get()), &one, sizeof one);
  }

 private:
  Result<std::vector<Ready>> wait_for(int timeout_ms) {
    std::array<epoll_event, 32> events{};
    const int count = ::epoll_wait(static_cast<int>(epoll_.get()), events.data(),
                                   static_cast<int>(events.size()), timeout_ms);
    if (count < 0 && errno != EINTR) return Fail{last_os_error("wait for handles")};
    std::vector<Ready> ready;
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.u64 == kWakeToken || event.data.u64 == kTimerToken) {
        const OsHandle own = event.data.u64 == kWakeToken ? event_.get() : timer_.get();
        std::uint64_t drained = 0;
        [[maybe_unused]] const ssize_t ignored =
            ::read(static_cast<int>(own), &drained, sizeof drained);
        continue;
      }
      const bool gone = (event.events & (EPOLLHUP | EPOLLERR)) != 0;
      ready.push_back({event.data.u64, gone || (event.events & EPOLLIN) != 0,
                       gone || (event.events & EPOLLOUT) != 0});
    }
    return ready;
  }

  UniqueHandle epoll_;
  UniqueHandle event_;
  UniqueHandle timer_;
};

}  // namespace

Result<std::unique_ptr<Poller>> Poller::create() {
  UniqueHandle epoll(::epoll_create1(EPOLL_CLOEXEC));
  UniqueHandle event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  UniqueHandle timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  for (const auto* handle : {&epoll, &event, &timer}) {
    if (!handle->is_open()) return Fail{last_os_error("make a poller")};
  }
  for (const auto& [handle, token] :
       {std::pair{event.get(), kWakeToken}, std::pair{timer.get(), kTimerToken}}) {
    epoll_event interest{};
    interest.events = EPOLLIN;
    interest.data.u64 = token;
    if (::epoll_ctl(static_cast<int>(epoll.get()), EPOLL_CTL_ADD, static_cast<int>(handle),
                    &interest) != 0) {
      return Fail{last_os_error("make a poller")};
    }
  }
  return std::unique_ptr<Poller>(
      std::make_unique<EpollPoller>(std::move(epoll), std::move(event), std::move(timer)));
}

}  // namespace runhv
