// A container on an event loop with a thread of its own, for callers on any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "api/conversions.h"
#include "container/container.h"
#include "platform/event.h"
#include "platform/event_loop.h"
#include "platform/thread.h"

namespace runhv::api {

class Vm final : private AbiEvents {
 public:
  static Result<std::unique_ptr<Vm>> create(container::ContainerConfig config);
  Vm(const Vm&) = delete;
  Vm& operator=(const Vm&) = delete;
  // Ends the container if it runs, joins its threads. REQUIRES: no call is under way.
  ~Vm();

  // Runs `work` on the loop's thread and waits for it. After a failure of the loop: that failure.
  Result<void> call(const std::function<Result<void>(container::Container&)>& work);

  Result<void> boot();
  Result<void> start();

  // The oldest event that was not taken; nullopt where there is none.
  std::optional<runhv_event> next_event();
  // Readable while there is an event.
  platform::OsHandle event_handle() const { return event_.handle(); }

  // Until it has ended, or the deadline (monotonic_ns) has passed: nullopt then. kConflict where it
  // does not run yet.
  Result<std::optional<AbiEnd>> wait(std::optional<std::uint64_t> deadline_ns);

  // Threads: any, without the loop.
  const container::Container& container() const { return *container_; }

 private:
  struct Task {
    const std::function<Result<void>()>* work;
    Result<void> result;
    bool done = false;
  };

  Vm(platform::Event event, std::unique_ptr<platform::EventLoop> loop)
      : event_(std::move(event)), loop_(std::move(loop)) {}

  void serve();
  void run_tasks();
  Result<void> run_on_loop(const std::function<Result<void>()>& work);
  Result<void> begin(Result<void> (container::Container::*step)());
  void on_event(const runhv_event& event) override;

  platform::Event event_;
  std::unique_ptr<platform::EventLoop> loop_;
  std::optional<platform::Thread> thread_;
  std::unique_ptr<container::Container> container_;  // made and destroyed on the loop's thread

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task*> tasks_;
  std::deque<runhv_event> events_;
  std::optional<AbiEnd> end_;
  std::optional<Error> failure_;  // of the loop: it serves no more
  bool begun_ = false;
};

}  // namespace runhv::api
