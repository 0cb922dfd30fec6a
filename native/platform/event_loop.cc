#include "platform/event_loop.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/scope_exit.h"
#include "platform/clock.h"
#include "platform/event_loop_core.h"
#include "platform/readiness.h"

namespace runhv::platform {
namespace {

constexpr std::uint64_t kNever = UINT64_MAX;

}  // namespace

Result<std::shared_ptr<EventLoop::Core>> EventLoop::Core::create() {
  RUNHV_TRY_ASSIGN(auto poller, Poller::create());
  return std::shared_ptr<Core>(new Core(std::move(poller)));
}

Result<std::uint64_t> EventLoop::Core::watch(OsHandle handle) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t id = next_id_++;
  RUNHV_TRY_ASSIGN(const bool known, poller_->watch(id, handle));
  Watch watch;
  watch.always_ready = !known;
  watches_.emplace(id, std::move(watch));
  return id;
}

void EventLoop::Core::arm(std::uint64_t watch_id, Interest interest, Handler handler) {
  SharedHandler shared;
  if (handler) shared = std::make_shared<Handler>(std::move(handler));
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  const auto found = watches_.find(watch_id);
  RUNHV_CHECK(found != watches_.end());
  Watch& watch = found->second;
  std::swap(interest == Interest::kReadable ? watch.readable : watch.writable, shared);
  update_interest(watch_id, watch);
}

void EventLoop::Core::update_interest(std::uint64_t watch_id, Watch& watch) {
  const bool readable = watch.readable != nullptr;
  const bool writable = watch.writable != nullptr;
  if ((!readable || watch.readable_armed) && (!writable || watch.writable_armed)) return;
  watch.readable_armed = readable;
  watch.writable_armed = writable;
  if (watch.always_ready) {
    post_locked([this, watch_id] { dispatch({watch_id, true, true}); });
    return;
  }
  poller_->arm(watch_id, readable, writable);
}

void EventLoop::Core::forget(std::uint64_t watch_id) {
  Watch forgotten;  // its handlers end outside of the lock
  const std::lock_guard lock(mutex_);
  const auto found = watches_.find(watch_id);
  if (found == watches_.end()) return;
  forgotten = std::move(found->second);
  watches_.erase(found);
  if (!forgotten.always_ready) poller_->forget(watch_id);
}

std::uint64_t EventLoop::Core::add_timer(Handler handler) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t id = next_id_++;
  timers_.emplace(id, TimerState{std::make_shared<Handler>(std::move(handler)), kNever});
  return id;
}

void EventLoop::Core::set_timer(std::uint64_t timer_id, std::uint64_t deadline_ns) {
  const std::lock_guard lock(mutex_);
  const auto found = timers_.find(timer_id);
  if (found == timers_.end()) return;  // the loop has ended
  TimerState& timer = found->second;
  deadlines_.erase({timer.deadline_ns, timer_id});
  timer.deadline_ns = deadline_ns;
  if (deadline_ns == kNever) return;
  deadlines_.emplace(deadline_ns, timer_id);
  // The loop's own thread looks before it waits.
  if (!in_loop_thread()) poller_->end_wait_by(deadline_ns);
}

void EventLoop::Core::remove_timer(std::uint64_t timer_id) {
  SharedHandler dropped;  // ends outside of the lock
  const std::lock_guard lock(mutex_);
  const auto found = timers_.find(timer_id);
  if (found == timers_.end()) return;
  deadlines_.erase({found->second.deadline_ns, timer_id});
  dropped = std::move(found->second.handler);
  timers_.erase(found);
}

void EventLoop::Core::post(Handler handler) {
  const std::lock_guard lock(mutex_);
  post_locked(std::move(handler));
}

void EventLoop::Core::post_locked(Handler handler) {
  if (closed_) return;
  posted_.push_back(std::move(handler));
  wake();
}

void EventLoop::Core::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  wake();
}

bool EventLoop::Core::take_stop() {
  const std::lock_guard lock(mutex_);
  return std::exchange(stopped_, false);
}

void EventLoop::Core::wake() {
  // The loop's own thread looks before it waits.
  if (awake_ || in_loop_thread()) return;
  awake_ = true;
  poller_->wake();
}

void EventLoop::Core::prepare_to_wait(std::optional<std::uint64_t> deadline_ns) {
  const std::lock_guard lock(mutex_);
  awake_ = false;
  if (stopped_ || !posted_.empty()) return poller_->prepare(0);
  std::uint64_t until_ns = deadline_ns.value_or(kNever);
  if (!deadlines_.empty()) until_ns = std::min(until_ns, deadlines_.begin()->first);
  poller_->prepare(until_ns);
}

Result<void> EventLoop::Core::serve(std::optional<std::uint64_t> deadline_ns) {
  RUNHV_CHECK(loop_thread_.exchange(std::this_thread::get_id()) == std::thread::id());
  const ScopeExit leave([&] { loop_thread_ = std::thread::id(); });
  prepare_to_wait(deadline_ns);
  RUNHV_TRY_ASSIGN(const auto ready, poller_->wait());
  for (const Poller::Ready& each : ready) dispatch(each);
  run_due_timers();
  run_posted();
  return {};
}

void EventLoop::Core::dispatch(const Poller::Ready& ready) {
  const std::uint64_t watch_id = ready.id;
  {
    const std::lock_guard lock(mutex_);
    const auto found = watches_.find(watch_id);
    if (found == watches_.end()) return;
    found->second.readable_armed = found->second.writable_armed = false;
  }
  // One after the other, as the first handler may destroy the source.
  for (const Interest interest : {Interest::kReadable, Interest::kWritable}) {
    const bool readable = interest == Interest::kReadable;
    if (!(readable ? ready.readable : ready.writable)) continue;
    SharedHandler handler;
    {
      const std::lock_guard lock(mutex_);
      const auto found = watches_.find(watch_id);
      if (found == watches_.end()) return;
      handler = std::move(readable ? found->second.readable : found->second.writable);
    }
    if (handler) (*handler)();
  }
  const std::lock_guard lock(mutex_);
  const auto found = watches_.find(watch_id);
  if (found != watches_.end()) update_interest(watch_id, found->second);
}

void EventLoop::Core::run_due_timers() {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> due;
  {
    const std::lock_guard lock(mutex_);
    if (deadlines_.empty()) return;
    const auto end = deadlines_.upper_bound({monotonic_ns(), UINT64_MAX});
    due.assign(deadlines_.begin(), end);
  }
  for (const auto& each : due) {
    SharedHandler handler;
    {
      const std::lock_guard lock(mutex_);
      // An earlier handler may have cancelled it, or set it anew.
      if (deadlines_.erase(each) == 0) continue;
      TimerState& timer = timers_.at(each.second);
      timer.deadline_ns = kNever;
      handler = timer.handler;
    }
    (*handler)();
  }
}

void EventLoop::Core::run_posted() {
  std::vector<Handler> posted;
  {
    const std::lock_guard lock(mutex_);
    posted.swap(posted_);
  }
  for (Handler& handler : posted) {
    handler();
    handler = nullptr;  // what it owns ends before the next begins
  }
}

bool EventLoop::Core::in_loop_thread() const {
  return loop_thread_.load() == std::this_thread::get_id();
}

void EventLoop::Core::close() {
  // End outside of the lock: what the handlers own may call us while it ends.
  std::map<std::uint64_t, Watch> watches;
  std::map<std::uint64_t, TimerState> timers;
  std::vector<Handler> posted;
  const std::lock_guard lock(mutex_);
  RUNHV_CHECK(loop_thread_.load() == std::thread::id());
  closed_ = true;
  poller_->forget_all();
  watches.swap(watches_);
  timers.swap(timers_);
  posted.swap(posted_);
  deadlines_.clear();
}

EventLoop::EventLoop(std::shared_ptr<Core> core) : core_(std::move(core)) {}

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
  RUNHV_TRY_ASSIGN(auto core, Core::create());
  return std::unique_ptr<EventLoop>(new EventLoop(std::move(core)));
}

EventLoop::~EventLoop() { core_->close(); }

Result<void> EventLoop::run() {
  while (!core_->take_stop()) RUNHV_TRY(core_->serve(std::nullopt));
  return {};
}

Result<void> EventLoop::run_once(std::optional<std::uint64_t> deadline_ns) {
  return core_->serve(deadline_ns);
}

void EventLoop::stop() { core_->stop(); }
void EventLoop::post(Handler handler) { core_->post(std::move(handler)); }
bool EventLoop::in_loop_thread() const { return core_->in_loop_thread(); }

Timer::Timer(EventLoop& loop, Handler handler)
    : core_(loop.core_), id_(core_->add_timer(std::move(handler))) {}
Timer::~Timer() { core_->remove_timer(id_); }
void Timer::set(std::uint64_t deadline_ns) { core_->set_timer(id_, deadline_ns); }
void Timer::cancel() { core_->set_timer(id_, kNever); }

Readiness::Readiness(Readiness&& other) noexcept : core_(std::move(other.core_)), id_(other.id_) {}

Readiness& Readiness::operator=(Readiness&& other) noexcept {
  if (this == &other) return *this;
  if (core_ != nullptr) core_->forget(id_);
  core_ = std::move(other.core_);
  id_ = other.id_;
  return *this;
}

Readiness::~Readiness() {
  if (core_ != nullptr) core_->forget(id_);
}

Result<void> Readiness::bind(EventLoop& loop, OsHandle handle) {
  RUNHV_CHECK(core_ == nullptr);
  RUNHV_TRY_ASSIGN(id_, loop.core_->watch(handle));
  core_ = loop.core_;
  return {};
}

void Readiness::on_readable(Handler handler) {
  RUNHV_CHECK(core_ != nullptr);
  core_->arm(id_, EventLoop::Core::Interest::kReadable, std::move(handler));
}

void Readiness::on_writable(Handler handler) {
  RUNHV_CHECK(core_ != nullptr);
  core_->arm(id_, EventLoop::Core::Interest::kWritable, std::move(handler));
}

}  // namespace runhv::platform
