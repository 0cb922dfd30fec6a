#include "platform/linux/file_stream.h"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include "platform/linux/deadline.h"
#include "platform/linux/event_loop_core.h"
#include "platform/os_error.h"

namespace runhv::platform {

struct FileStream::State : std::enable_shared_from_this<State> {
  State(UniqueHandle handle, std::shared_ptr<EventLoop::Core> core)
      : file(std::move(handle)), loop(std::move(core)) {}

  const UniqueHandle file;
  const std::shared_ptr<EventLoop::Core> loop;  // may have ended: then it drops what is posted

  std::mutex mutex;  // never held during a call that may wait
  std::condition_variable flushed;
  Handler readable_handler, writable_handler, flushed_handler;

  std::vector<std::byte> queued;  // taken and not yet with the worker
  std::size_t in_flight = 0;      // with the worker and not yet written
  bool writing = false;           // a job is posted
  int write_error = 0;

  std::vector<std::byte> ahead;
  bool reading = false;  // a job is posted
  bool at_end = false;
  int read_error = 0;

  // REQUIRES of these: the mutex is held.
  std::size_t pending() const { return queued.size() + in_flight; }
  bool is_readable() const { return !ahead.empty() || at_end || read_error != 0; }
  bool is_writable() const { return pending() < Stream::kFilePendingBytes || write_error != 0; }
  bool is_flushed() const { return pending() == 0; }
  // Has the handler run on the loop's thread, unless it is taken back or replaced before.
  void tell(Handler State::*which) {
    if (this->*which) loop->post([self = shared_from_this(), which] { self->run(which); });
  }

  void run(Handler State::*which) {
    Handler handler;
    {
      const std::lock_guard lock(mutex);
      handler = std::exchange(this->*which, nullptr);
    }
    if (handler) handler();
  }

  // On the worker's thread.
  void write_queued();
  void read_ahead();
};

void FileStream::State::write_queued() {
  std::vector<std::byte> chunk;
  std::unique_lock lock(mutex);
  while (!queued.empty()) {
    chunk.swap(queued);
    queued.clear();
    in_flight = chunk.size();
    while (in_flight > 0) {
      const std::span<const std::byte> rest = std::span(chunk).last(in_flight);
      lock.unlock();
      const ssize_t count = ::write(static_cast<int>(file.get()), rest.data(), rest.size());
      const int os_code = errno;
      lock.lock();
      if (count < 0 && os_code == EINTR) continue;
      if (count <= 0) {
        write_error = count < 0 ? os_code : EIO;
        queued.clear();
        in_flight = 0;
      } else {
        in_flight -= static_cast<std::size_t>(count);
      }
      tell(&State::writable_handler);
    }
  }
  writing = false;
  flushed.notify_all();
  tell(&State::flushed_handler);
}

void FileStream::State::read_ahead() {
  std::vector<std::byte> bytes;
  {
    const std::lock_guard lock(mutex);
    bytes.resize(Stream::kFileAheadBytes - ahead.size());
  }
  ssize_t count = 0;
  do {
    count = ::read(static_cast<int>(file.get()), bytes.data(), bytes.size());
  } while (count < 0 && errno == EINTR);
  const int os_code = errno;
  const std::lock_guard lock(mutex);
  if (count < 0) read_error = os_code;
  if (count == 0) at_end = true;
  if (count > 0) ahead.insert(ahead.end(), bytes.begin(), bytes.begin() + count);
  reading = false;
  tell(&State::readable_handler);
}

FileStream::FileStream(std::shared_ptr<State> state, std::unique_ptr<Worker> worker)
    : state_(std::move(state)), worker_(std::move(worker)) {}

Result<std::unique_ptr<FileStream>> FileStream::create(UniqueHandle handle, EventLoop& loop) {
  RUNHV_TRY_ASSIGN(auto worker, Worker::create("runhv-file"));
  auto state = std::make_shared<State>(std::move(handle), loop.core_);
  return std::unique_ptr<FileStream>(new FileStream(std::move(state), std::move(worker)));
}

FileStream::~FileStream() {
  Handler handlers[3];  // end outside of the lock
  {
    const std::lock_guard lock(state_->mutex);
    handlers[0] = std::exchange(state_->readable_handler, nullptr);
    handlers[1] = std::exchange(state_->writable_handler, nullptr);
    handlers[2] = std::exchange(state_->flushed_handler, nullptr);
  }
  worker_->stop(0);
}

IoResult FileStream::read(std::span<std::byte> out) {
  const std::lock_guard lock(state_->mutex);
  std::vector<std::byte>& ahead = state_->ahead;
  const std::size_t count = std::min(out.size(), ahead.size());
  const auto end = ahead.begin() + static_cast<std::ptrdiff_t>(count);
  std::copy(ahead.begin(), end, out.begin());
  ahead.erase(ahead.begin(), end);
  if (ahead.size() <= Stream::kFileAheadBytes / 2) start_reading();
  if (count > 0) return {IoStatus::kDone, count, 0};
  if (state_->read_error != 0) return {IoStatus::kFailed, 0, state_->read_error};
  return {state_->at_end ? IoStatus::kEnd : IoStatus::kWouldBlock, 0, 0};
}

void FileStream::start_reading() {
  if (state_->reading || state_->at_end || state_->read_error != 0) return;
  state_->reading = true;
  worker_->post([state = state_] { state->read_ahead(); });
}

IoResult FileStream::write(std::span<const std::byte> in) {
  const std::lock_guard lock(state_->mutex);
  if (state_->write_error != 0) return {IoStatus::kFailed, 0, state_->write_error};
  in = in.first(std::min(in.size(), Stream::kFilePendingBytes - state_->pending()));
  if (in.empty()) return {IoStatus::kWouldBlock, 0, 0};
  state_->queued.insert(state_->queued.end(), in.begin(), in.end());
  if (!std::exchange(state_->writing, true)) {
    worker_->post([state = state_] { state->write_queued(); });
  }
  return {IoStatus::kDone, in.size(), 0};
}

IoResult FileStream::flush() {
  const std::lock_guard lock(state_->mutex);
  if (state_->write_error != 0) return {IoStatus::kFailed, 0, state_->write_error};
  return {state_->is_flushed() ? IoStatus::kDone : IoStatus::kWouldBlock, 0, 0};
}

void FileStream::on_readable(Handler handler) {
  const std::lock_guard lock(state_->mutex);
  handler.swap(state_->readable_handler);
  if (state_->is_readable()) {
    state_->tell(&State::readable_handler);
  } else if (state_->readable_handler) {
    start_reading();
  }
}

void FileStream::on_writable(Handler handler) {
  const std::lock_guard lock(state_->mutex);
  handler.swap(state_->writable_handler);
  if (state_->is_writable()) state_->tell(&State::writable_handler);
}

void FileStream::on_flushed(Handler handler) {
  const std::lock_guard lock(state_->mutex);
  handler.swap(state_->flushed_handler);
  if (state_->is_flushed()) state_->tell(&State::flushed_handler);
}

Result<void> FileStream::close(std::uint64_t deadline_ns) {
  const std::string operation = "close a file";
  std::size_t pending = 0;
  int write_error = 0;
  {
    std::unique_lock lock(state_->mutex);
    state_->flushed.wait_until(lock, steady_deadline(deadline_ns),
                               [&] { return state_->is_flushed(); });
    pending = state_->pending();
    write_error = state_->write_error;
  }
  if (write_error != 0) return Fail{os_error("write a file", write_error)};
  if (pending != 0) {
    return Fail{Error{Code::kTimedOut, operation,
                      "it does not take the last " + std::to_string(pending) +
                          " bytes; its disk or server does not answer"}};
  }
  return {};
}

}  // namespace runhv::platform
