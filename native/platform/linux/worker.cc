#include "platform/worker.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

namespace runhv {

struct Worker::Queue {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> jobs;
  bool running = false;
  bool stopping = false;

  void run() {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [&] { return stopping || !jobs.empty(); });
      if (stopping) return;
      std::function<void()> job = std::move(jobs.front());
      jobs.pop_front();
      running = true;
      lock.unlock();
      job();
      job = nullptr;  // what it owns may call us while it ends
      lock.lock();
      running = false;
    }
  }
};

Worker::Worker(std::shared_ptr<Queue> queue, Thread thread)
    : queue_(std::move(queue)), thread_(std::move(thread)) {}

Result<std::unique_ptr<Worker>> Worker::create(const char* name) {
  auto queue = std::make_shared<Queue>();
  RUNHV_TRY_ASSIGN(Thread thread, Thread::start(name, [queue] { queue->run(); }));
  return std::unique_ptr<Worker>(new Worker(std::move(queue), std::move(thread)));
}

Worker::~Worker() {
  if (!stopped_) stop(UINT64_MAX);
}

bool Worker::post(std::function<void()> job) {
  const std::lock_guard lock(queue_->mutex);
  if (queue_->stopping) return false;
  queue_->jobs.push_back(std::move(job));
  queue_->changed.notify_one();
  return true;
}

bool Worker::stop(std::uint64_t deadline_ns) {
  stopped_ = true;
  std::deque<std::function<void()>> dropped;
  {
    const std::lock_guard lock(queue_->mutex);
    queue_->stopping = true;
    dropped.swap(queue_->jobs);
    queue_->changed.notify_one();
    // A thread without a job ends at once.
    if (!queue_->running) deadline_ns = UINT64_MAX;
  }
  dropped.clear();  // outside of the lock: what they own may call us while it ends
  if (thread_.join_until(deadline_ns)) return true;
  thread_.abandon();
  return false;
}

}  // namespace runhv
