#include "platform/file_stream.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "platform/blocking_io.h"
#include "platform/deadline.h"
#include "platform/event_loop_core.h"
#include "platform/os_error.h"

namespace runhv::platform {

struct FileStream::State : std::enable_shared_from_this<State> {
  explicit State(UniqueHandle handle) : file(std::move(handle)) {}

  const UniqueHandle file;

  std::mutex mutex;  // never held during a call that may wait
  std::condition_variable written;
  std::shared_ptr<EventLoop::Core> loop;  // may have ended: then it drops what is posted
  Handler readable_handler, writable_handler, flushed_handler;

  std::vector<std::byte> queued;  // taken and not yet with the worker
  std::size_t in_flight = 0;      // with the worker and not yet written
  bool writing = false;           // a job is posted
  std::optional<IoResult> write_failure;

  std::vector<std::byte> ahead;
  bool reading = false;              // a job is posted
  std::optional<IoResult> read_end;  // how it ended

  // REQUIRES of these: the mutex is held.
  std::size_t pending() const { return queued.size() + in_flight; }
  bool is_readable() const { return !ahead.empty() || read_end; }
  bool is_writable() const { return pending() < Stream::kFilePendingBytes || write_failure; }
  bool is_flushed() const { return pending() == 0; }
  // Has the handler run on the loop's thread, unless it is taken back or replaced before.
  void tell(Handler State::*which) {
    if (!(this->*which) || !loop) return;
    loop->post([self = shared_from_this(), which] { self->run(which); });
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
      const IoResult result = write_waiting(file.get(), rest);
      lock.lock();
      if (result.status == IoStatus::kDone) {
        in_flight -= result.bytes;
      } else {
        write_failure = result;
        queued.clear();
        in_flight = 0;
      }
      written.notify_all();
      tell(&State::writable_handler);
    }
  }
  writing = false;
  written.notify_all();
  tell(&State::flushed_handler);
}

void FileStream::State::read_ahead() {
  std::vector<std::byte> bytes;
  {
    const std::lock_guard lock(mutex);
    bytes.resize(Stream::kFileAheadBytes - ahead.size());
  }
  const IoResult result = read_waiting(file.get(), bytes);
  const std::lock_guard lock(mutex);
  if (result.status == IoStatus::kDone) {
    ahead.insert(ahead.end(), bytes.begin(),
                 bytes.begin() + static_cast<std::ptrdiff_t>(result.bytes));
  } else {
    read_end = result;
  }
  reading = false;
  tell(&State::readable_handler);
}

FileStream::FileStream(std::shared_ptr<State> state, std::unique_ptr<Worker> worker)
    : state_(std::move(state)), worker_(std::move(worker)) {}

Result<std::unique_ptr<FileStream>> FileStream::create(UniqueHandle handle) {
  RUNHV_TRY_ASSIGN(auto worker, Worker::create("runhv-file"));
  auto state = std::make_shared<State>(std::move(handle));
  return std::unique_ptr<FileStream>(new FileStream(std::move(state), std::move(worker)));
}

void FileStream::bind(EventLoop& loop) {
  const std::lock_guard lock(state_->mutex);
  RUNHV_CHECK(state_->loop == nullptr);
  state_->loop = loop.core_;
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
  return state_->read_end.value_or(IoResult{IoStatus::kWouldBlock, 0, 0});
}

void FileStream::start_reading() {
  if (state_->reading || state_->read_end) return;
  state_->reading = true;
  worker_->post([state = state_] { state->read_ahead(); });
}

IoResult FileStream::write(std::span<const std::byte> in) {
  const std::lock_guard lock(state_->mutex);
  if (state_->write_failure) return *state_->write_failure;
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
  if (state_->write_failure) return *state_->write_failure;
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
  wait_until_flushed(deadline_ns);
  const std::lock_guard lock(state_->mutex);
  // A reader that has gone did not want them.
  if (state_->write_failure && state_->write_failure->status == IoStatus::kFailed) {
    return Fail{os_error("write a file", state_->write_failure->os_code)};
  }
  const std::size_t pending = state_->pending();
  if (pending != 0) {
    return Fail{Error{Code::kTimedOut, operation,
                      "it does not take the last " + std::to_string(pending) +
                          " bytes; its disk or server does not answer"}};
  }
  return {};
}

bool FileStream::wait_for_room(std::uint64_t deadline_ns) {
  std::unique_lock lock(state_->mutex);
  return state_->written.wait_until(lock, steady_deadline(deadline_ns),
                                    [&] { return state_->is_writable(); });
}

bool FileStream::wait_until_flushed(std::uint64_t deadline_ns) {
  std::unique_lock lock(state_->mutex);
  return state_->written.wait_until(lock, steady_deadline(deadline_ns),
                                    [&] { return state_->is_flushed(); });
}

}  // namespace runhv::platform
