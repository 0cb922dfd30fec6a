#include "platform/file_mappings.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <mutex>

#include <sys/mman.h>

#include "base/check.h"
#include "platform/linux/descriptor.h"
#include "platform/os_error.h"

namespace runhv::platform {

// The handler may interrupt anything: it takes no lock, and `bytes` is written last and cleared
// first.
struct FileMappings::Watched {
  std::atomic<std::size_t> bytes{0};  // 0: of nobody
  std::uintptr_t first = 0;
  std::size_t range_bytes = 0;
  std::atomic<bool> any_lost{false};
  std::array<std::atomic<bool>, kMaxRanges> lost{};
};

namespace {

constexpr const char* kOperation = "show files in the guest's memory";
constexpr std::uintptr_t kPageBytes = 4096;

// Of the machines of this process: WHP lets it have one, and tests have a few.
std::array<FileMappings::Watched, 4> all_watched;
std::mutex all_watched_mutex;  // of who has which
struct sigaction action_before {};

// Like all of the guest's memory, no part of a core file. False: there may be nothing at all.
bool make_zero(void* memory, std::size_t size) {
  if (::mmap(memory, size, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED) {
    return false;
  }
  ::madvise(memory, size, MADV_DONTDUMP);
  return true;
}

// Whoever else of this process knows this signal, as a JVM does.
void pass_on(int signal, siginfo_t* info, void* context) {
  if ((action_before.sa_flags & SA_SIGINFO) != 0) {
    action_before.sa_sigaction(signal, info, context);
  } else if (action_before.sa_handler != SIG_DFL && action_before.sa_handler != SIG_IGN) {
    action_before.sa_handler(signal);
  } else {
    ::signal(SIGBUS, SIG_DFL);  // the access comes again, and ends the process
  }
}

// Async-signal-safe: mmap(2) is a system call and no more.
void on_lost_page(int signal, siginfo_t* info, void* context) {
  const int error_before = errno;
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (FileMappings::Watched& watched : all_watched) {
    const std::size_t bytes = watched.bytes.load();
    if (bytes == 0 || address - watched.first >= bytes) continue;
    // What is behind the end of a file is lost up to the end of its range; and so a guest cannot
    // cut this process's memory into more pieces than a process may have.
    const std::size_t range = (address - watched.first) / watched.range_bytes;
    const std::uintptr_t page = address & ~(kPageBytes - 1);
    const std::uintptr_t end = watched.first + (range + 1) * watched.range_bytes;
    if (!make_zero(reinterpret_cast<void*>(page), end - page)) break;
    watched.lost[range].store(true);
    watched.any_lost.store(true);
    errno = error_before;
    return;
  }
  pass_on(signal, info, context);
}

Result<void> handle_lost_pages() {
  struct sigaction action {};
  action.sa_sigaction = on_lost_page;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  struct sigaction now {};
  if (::sigaction(SIGBUS, nullptr, &now) != 0) return Fail{last_os_error(kOperation)};
  if ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_lost_page) return {};
  action_before = now;
  if (::sigaction(SIGBUS, &action, nullptr) != 0) return Fail{last_os_error(kOperation)};
  return {};
}

}  // namespace

Result<std::unique_ptr<FileMappings>> FileMappings::create(std::span<std::byte> memory,
                                                           std::size_t range_bytes) {
  RUNHV_CHECK(range_bytes % kPageBytes == 0 && memory.size() % range_bytes == 0 &&
              memory.size() / range_bytes <= kMaxRanges);
  const std::lock_guard lock(all_watched_mutex);
  for (Watched& watched : all_watched) {
    if (watched.bytes.load() != 0) continue;
    RUNHV_TRY(handle_lost_pages());
    watched.first = reinterpret_cast<std::uintptr_t>(memory.data());
    watched.range_bytes = range_bytes;
    watched.bytes.store(memory.size());
    return std::unique_ptr<FileMappings>(new FileMappings(memory, range_bytes, watched));
  }
  return std::unique_ptr<FileMappings>();
}

FileMappings::~FileMappings() {
  for (std::size_t range = 0; range < memory_.size() / range_bytes_; ++range) hide(range);
  const std::lock_guard lock(all_watched_mutex);
  watched_.bytes.store(0);
  for (std::atomic<bool>& lost : watched_.lost) lost.store(false);
  watched_.any_lost.store(false);
}

int FileMappings::show(std::size_t range, const OpenFile& file, std::uint64_t offset,
                       bool writable) {
  // A private map takes what a guest writes to a file that it may only read, and the file does not.
  const int kind = writable ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE;
  const std::span<std::byte> bytes = bytes_of(range);
  void* const shown = ::mmap(bytes.data(), bytes.size(), PROT_READ | PROT_WRITE, kind | MAP_FIXED,
                             number(file.handle_), static_cast<off_t>(offset));
  if (shown != MAP_FAILED) {
    ::madvise(bytes.data(), bytes.size(), MADV_DONTDUMP);
    return 0;
  }
  const int failed = errno;
  hide(range);
  return failed;
}

// A hole there would become whatever this process maps next, in the guest's hands.
void FileMappings::hide(std::size_t range) {
  const std::span<std::byte> bytes = bytes_of(range);
  RUNHV_CHECK(make_zero(bytes.data(), bytes.size()));
}

bool FileMappings::has_lost_any() const { return watched_.any_lost.load(); }

bool FileMappings::take_any_lost() {
  return watched_.any_lost.load() && watched_.any_lost.exchange(false);
}

bool FileMappings::take_lost(std::size_t range) { return watched_.lost[range].exchange(false); }

}  // namespace runhv::platform
