#include "platform/poller.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/check.h"
#include "platform/clock.h"
#include "platform/linux/descriptor.h"
#include "platform/os_error.h"

namespace runhv::platform {
namespace {

constexpr std::uint64_t kWakeId = 0;
constexpr std::uint64_t kTimerId = 1;
constexpr std::uint32_t kReadableEvents = EPOLLIN | EPOLLHUP | EPOLLERR;
constexpr std::uint32_t kWritableEvents = EPOLLOUT | EPOLLHUP | EPOLLERR;

bool control(const UniqueHandle& epoll, int operation, int file, std::uint32_t events,
             std::uint64_t id) {
  epoll_event interest{};
  interest.events = events;
  interest.data.u64 = id;
  return ::epoll_ctl(number(epoll), operation, file, &interest) == 0;
}

class Epoll final : public Poller {
 public:
  Epoll(UniqueHandle epoll, UniqueHandle wake, UniqueHandle timer)
      : epoll_(std::move(epoll)), wake_(std::move(wake)), timer_(std::move(timer)) {}

  Result<bool> watch(std::uint64_t id, OsHandle handle) override {
    const int file = static_cast<int>(handle);
    // Without an interest. What is reported all the same (EPOLLHUP) is reported once.
    if (control(epoll_, EPOLL_CTL_ADD, file, EPOLLONESHOT, id)) {
      files_.emplace(id, file);
      return true;
    }
    // epoll_ctl(2): EPERM for files that are always ready, such as /dev/null.
    if (errno == EPERM) return false;
    return Fail{last_os_error("watch a handle")};
  }

  void arm(std::uint64_t id, bool readable, bool writable) override {
    const std::uint32_t wanted = (readable ? static_cast<std::uint32_t>(EPOLLIN) : 0u) |
                                 (writable ? static_cast<std::uint32_t>(EPOLLOUT) : 0u);
    // A change of what is known already takes no memory and cannot be refused.
    RUNHV_CHECK(control(epoll_, EPOLL_CTL_MOD, files_.at(id), wanted | EPOLLONESHOT, id));
  }

  void forget(std::uint64_t id) override {
    const auto found = files_.find(id);
    if (found == files_.end()) return;
    control(epoll_, EPOLL_CTL_DEL, found->second, 0, 0);
    files_.erase(found);
  }

  // A file that closes is forgotten by the kernel.
  void forget_all() override { files_.clear(); }

  void wake() override {
    const std::uint64_t one = 1;
    RUNHV_CHECK(::write(number(wake_), &one, sizeof one) == sizeof one);
  }

  void prepare(std::uint64_t until_ns) override {
    waits_ = until_ns > monotonic_ns();
    if (waits_ && until_ns != alarm_ns_) set_alarm(until_ns);
  }

  void end_wait_by(std::uint64_t deadline_ns) override {
    if (deadline_ns < alarm_ns_) set_alarm(deadline_ns);
  }

  Result<std::span<const Ready>> wait() override {
    std::array<epoll_event, kBatch> events{};
    const int count = ::epoll_wait(number(epoll_), events.data(), kBatch, waits_ ? -1 : 0);
    if (count < 0 && errno != EINTR) return Fail{last_os_error("wait for events")};
    std::size_t ready = 0;
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.u64 == kWakeId || event.data.u64 == kTimerId) continue;
      ready_[ready++] = {event.data.u64, (event.events & kReadableEvents) != 0,
                         (event.events & kWritableEvents) != 0};
    }
    return std::span<const Ready>(ready_).first(ready);
  }

 private:
  static constexpr int kBatch = 64;

  void set_alarm(std::uint64_t deadline_ns) {
    alarm_ns_ = deadline_ns;
    const std::uint64_t at = std::max<std::uint64_t>(deadline_ns, 1);  // 0 would disarm it
    itimerspec when{};
    when.it_value.tv_sec = static_cast<time_t>(at / 1'000'000'000);
    when.it_value.tv_nsec = static_cast<long>(at % 1'000'000'000);
    RUNHV_CHECK(::timerfd_settime(number(timer_), TFD_TIMER_ABSTIME, &when, nullptr) == 0);
  }

  const UniqueHandle epoll_, wake_, timer_;
  std::map<std::uint64_t, int> files_;
  std::uint64_t alarm_ns_ = UINT64_MAX;
  bool waits_ = false;
  std::array<Ready, kBatch> ready_{};
};

}  // namespace

Result<std::unique_ptr<Poller>> Poller::create() {
  const char* operation = "make an event loop";
  UniqueHandle epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.is_open()) return Fail{last_os_error(operation)};
  UniqueHandle wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.is_open()) return Fail{last_os_error(operation)};
  UniqueHandle timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer.is_open()) return Fail{last_os_error(operation)};
  // Edge-triggered: each write and each expiry is told once and need not be read.
  if (!control(epoll, EPOLL_CTL_ADD, number(wake), EPOLLIN | EPOLLET, kWakeId) ||
      !control(epoll, EPOLL_CTL_ADD, number(timer), EPOLLIN | EPOLLET, kTimerId)) {
    return Fail{last_os_error(operation)};
  }
  return std::unique_ptr<Poller>(
      std::make_unique<Epoll>(std::move(epoll), std::move(wake), std::move(timer)));
}

}  // namespace runhv::platform
