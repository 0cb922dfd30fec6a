#include "left_outputs.h"

#include <string.h>
#include <sys/epoll.h>

#include "sys.h"

namespace runhv::agent {
namespace {

constexpr std::size_t kStep = 4096;
constexpr int kAtOnce = 8;

bool watch(int epoll, int file, std::uint32_t token) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u32 = token;
  return sys::epoll_ctl(epoll, EPOLL_CTL_ADD, file, &event) == 0;
}

}  // namespace

void LeftOutputs::add(int pipe, int epoll, std::uint32_t token) {
  if (epoll_ == 0) {
    const int made = sys::epoll_create();
    if (made < 0 || !watch(epoll, made, token)) {
      if (made >= 0) sys::close(made);
      sys::close(pipe);
      return;
    }
    epoll_ = made;
  }
  // A writer can open the pipe through /proc and read it too: then there is nothing to wait for.
  sys::fcntl(pipe, F_SETFL, O_NONBLOCK);
  // That of the streams, which tells of their lanes.
  sys::epoll_ctl(epoll, EPOLL_CTL_DEL, pipe, nullptr);
  if (count_ == kMost) close(0);
  pipes_[count_++] = pipe;
  if (!watch(epoll_, pipe, static_cast<std::uint32_t>(pipe))) close(count_ - 1);
}

void LeftOutputs::drain() {
  epoll_event events[kAtOnce];
  const long count = sys::call(__NR_epoll_wait, epoll_, events, kAtOnce, 0);
  for (long i = 0; i < count; ++i) {
    const int pipe = static_cast<int>(events[i].data.u32);
    std::byte bytes[kStep];
    const long result = sys::read(pipe, bytes, sizeof bytes);
    if (result > 0 || result == -EAGAIN || result == -EINTR) continue;
    for (std::size_t place = 0; place < count_; ++place) {
      if (pipes_[place] != pipe) continue;
      close(place);
      break;
    }
  }
}

void LeftOutputs::close(std::size_t place) {
  // Taken out by name: a child that is being made may hold a copy.
  sys::epoll_ctl(epoll_, EPOLL_CTL_DEL, pipes_[place], nullptr);
  sys::close(pipes_[place]);
  --count_;
  memmove(pipes_ + place, pipes_ + place + 1, (count_ - place) * sizeof pipes_[0]);
}

}  // namespace runhv::agent
