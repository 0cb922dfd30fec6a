#include "api/vm.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "container/linux_abi.h"
#include "platform/clock.h"

namespace runhv::api {

Result<std::unique_ptr<Vm>> Vm::create(container::ContainerConfig config) {
  RUNHV_TRY_ASSIGN(platform::Event event, platform::Event::create());
  RUNHV_TRY_ASSIGN(auto loop, platform::EventLoop::create());
  std::unique_ptr<Vm> made(new Vm(std::move(event), std::move(loop)));
  RUNHV_TRY_ASSIGN(made->thread_,
                   platform::Thread::start("runhv-io", [vm = made.get()] { vm->serve(); }));
  RUNHV_TRY(made->run_on_loop([&]() -> Result<void> {
    RUNHV_TRY_ASSIGN(made->container_,
                     container::Container::create(*made->loop_, std::move(config), *made));
    return {};
  }));
  return made;
}

Vm::~Vm() {
  if (!thread_) return;
  loop_->post([this] {
    container_.reset();
    loop_->stop();
  });
  thread_->join();
  // Where the loop failed, its thread left the container behind.
  container_.reset();
}

void Vm::serve() {
  const auto served = loop_->run();
  if (served) return;
  // Nothing will be heard of the machine any more.
  if (container_)
    static_cast<void>(container_->signal(container::kFirstProcess, container::linux_abi::kSigkill));
  on_event(ended_event(Fail{served.error()}));
  const std::lock_guard lock(mutex_);
  failure_ = served.error();
  changed_.notify_all();
}

Result<void> Vm::run_on_loop(const std::function<Result<void>()>& work) {
  Task task{&work, {}};
  {
    const std::lock_guard lock(mutex_);
    if (failure_) return Fail{*failure_};
    tasks_.push_back(&task);
  }
  loop_->post([this] { run_tasks(); });
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return task.done || failure_; });
  if (task.done) return task.result;
  std::erase(tasks_, &task);
  return Fail{*failure_};
}

void Vm::run_tasks() {
  std::unique_lock lock(mutex_);
  while (!tasks_.empty()) {
    Task& task = *tasks_.front();
    tasks_.pop_front();
    lock.unlock();
    auto result = (*task.work)();
    lock.lock();
    task.result = std::move(result);
    task.done = true;
    changed_.notify_all();
  }
}

Result<void> Vm::call(const std::function<Result<void>(container::Container&)>& work) {
  return run_on_loop([&] { return work(*container_); });
}

Result<void> Vm::begin(Result<void> (container::Container::*step)()) {
  RUNHV_TRY(call([step](container::Container& container) { return (container.*step)(); }));
  const std::lock_guard lock(mutex_);
  begun_ = true;
  return {};
}

Result<void> Vm::boot() { return begin(&container::Container::boot); }

Result<void> Vm::start() { return begin(&container::Container::start); }

void Vm::on_event(const runhv_event& event) {
  const std::lock_guard lock(mutex_);
  if (event.kind == RUNHV_EVENT_ENDED) {
    if (end_) return;  // the loop failed after the end
    end_ = AbiEnd{event.code, event.status, event.error};
    changed_.notify_all();
  }
  // A guest decides how often it says this, and nobody may be reading.
  const auto same = std::ranges::find(events_, event.kind, &runhv_event::kind);
  if (event.kind == RUNHV_EVENT_OUT_OF_MEMORY && same != events_.end()) {
    *same = event;
    return;
  }
  events_.push_back(event);
  event_.set();
}

std::optional<runhv_event> Vm::next_event() {
  const std::lock_guard lock(mutex_);
  if (events_.empty()) return std::nullopt;
  const runhv_event event = events_.front();
  events_.pop_front();
  if (events_.empty()) event_.clear();
  return event;
}

Result<std::optional<AbiEnd>> Vm::wait(std::optional<std::uint64_t> deadline_ns) {
  std::unique_lock lock(mutex_);
  if (!begun_ && !end_) {
    return Fail{Error{Code::kConflict, "wait for a VM", "it was not started"}};
  }
  const auto over = [this] { return end_.has_value(); };
  if (!deadline_ns) {
    changed_.wait(lock, over);
    return end_;
  }
  const std::uint64_t now = platform::monotonic_ns();
  const std::uint64_t left = *deadline_ns > now ? *deadline_ns - now : 0;
  changed_.wait_for(lock, std::chrono::nanoseconds(left), over);
  return end_;
}

}  // namespace runhv::api
