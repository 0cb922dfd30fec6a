#include "platform/worker.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

namespace runhv::platform {

struct Worker::Queue {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> jobs;
  std::size_t idle = 0;     // threads
  std::size_t running = 0;  // jobs
  bool stopping = false;

  void run() {
    std::unique_lock lock(mutex);
    while (true) {
      ++idle;
      changed.wait(lock, [&] { return stopping || !jobs.empty(); });
      --idle;
      if (stopping) return;
      std::function<void()> job = std::move(jobs.front());
      jobs.pop_front();
      ++running;
      lock.unlock();
      job();
      job = nullptr;  // what it owns may call us while it ends
      lock.lock();
      --running;
    }
  }
};

Worker::Worker(const char* name, std::size_t most_threads)
    : name_(name), most_threads_(most_threads), queue_(std::make_shared<Queue>()) {}

Result<std::unique_ptr<Worker>> Worker::create(const char* name, std::size_t most_threads) {
  std::unique_ptr<Worker> worker(new Worker(name, most_threads));
  RUNHV_TRY(worker->add_thread());
  return worker;
}

Result<void> Worker::add_thread() {
  RUNHV_TRY_ASSIGN(Thread thread, Thread::start(name_.c_str(), [queue = queue_] { queue->run(); }));
  threads_.push_back(std::move(thread));
  return {};
}

Worker::~Worker() {
  if (!stopped_) stop(UINT64_MAX);
}

bool Worker::post(std::function<void()> job) {
  const std::lock_guard lock(queue_->mutex);
  if (queue_->stopping) return false;
  queue_->jobs.push_back(std::move(job));
  queue_->changed.notify_one();
  // Without one more the job waits for those that are there.
  if (queue_->jobs.size() > queue_->idle && threads_.size() < most_threads_) (void)add_thread();
  return true;
}

bool Worker::stop(std::uint64_t deadline_ns) {
  stopped_ = true;
  std::deque<std::function<void()>> dropped;
  {
    const std::lock_guard lock(queue_->mutex);
    queue_->stopping = true;
    dropped.swap(queue_->jobs);
    queue_->changed.notify_all();
    // A thread without a job ends at once.
    if (queue_->running == 0) deadline_ns = UINT64_MAX;
  }
  dropped.clear();  // outside of the lock: what they own may call us while it ends
  bool ended = true;
  for (Thread& thread : threads_) {
    if (thread.join_until(deadline_ns)) continue;
    thread.abandon();
    ended = false;
  }
  threads_.clear();
  return ended;
}

}  // namespace runhv::platform
