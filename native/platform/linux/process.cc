#include "platform/process.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/scope_exit.h"
#include "platform/handle.h"
#include "platform/os_error.h"
#include "platform/pipe.h"

namespace runhv::platform {
namespace {

std::vector<char*> argument_vector(const std::string& program,
                                   const std::vector<std::string>& arguments) {
  std::vector<char*> vector{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) {
    vector.push_back(const_cast<char*>(argument.c_str()));
  }
  vector.push_back(nullptr);
  return vector;
}

// In the child, between fork and exec: only async-signal-safe calls.
[[noreturn]] void exec_child(const char* program, char* const* arguments, char* const* environment,
                             const char* directory, int in, int out, int errors, int failure,
                             pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (::getppid() == parent && ::chdir(directory) == 0 && ::dup2(in, 0) >= 0 &&
      ::dup2(out, 1) >= 0 && ::dup2(errors, 2) >= 0) {
    ::execve(program, arguments, environment);
  }
  const int why = errno;
  [[maybe_unused]] const ssize_t ignored = ::write(failure, &why, sizeof why);
  ::_exit(127);
}

// Ours with the locale C.UTF-8: names are UTF-8 and the system's words English, wherever we run.
std::vector<char*> child_environment() {
  static char locale[] = "LC_ALL=C.UTF-8";
  std::vector<char*> vector{locale};
  for (char** entry = ::environ; *entry != nullptr; ++entry) {
    if (!std::string_view(*entry).starts_with("LC_ALL=")) vector.push_back(*entry);
  }
  vector.push_back(nullptr);
  return vector;
}

// All of /proc/self/fd above 2 that `kept` (sorted) does not name.
Result<void> close_listed_handles(const std::vector<unsigned>& kept) {
  DIR* directory = ::opendir("/proc/self/fd");
  if (directory == nullptr) return Fail{last_os_error("close inherited files: list /proc/self/fd")};
  const ScopeExit close([&] { ::closedir(directory); });
  // Listed first: to close while listing would change what is listed.
  std::vector<unsigned> listed;
  while (const dirent* entry = ::readdir(directory)) {
    const unsigned long file = std::strtoul(entry->d_name, nullptr, 10);
    if (file > 2 && file != static_cast<unsigned long>(::dirfd(directory))) {
      listed.push_back(static_cast<unsigned>(file));
    }
  }
  for (const unsigned file : listed) {
    if (!std::binary_search(kept.begin(), kept.end(), file)) ::close(static_cast<int>(file));
  }
  return {};
}

// What a child says on stderr, until it is known whether it comes up.
class EarlyErrors {
 public:
  explicit EarlyErrors(std::string_view first_bytes) : first_bytes_(first_bytes) {}

  Result<void> open() {
    RUNHV_TRY_ASSIGN(pipe_, make_pipe());
    return {};
  }
  int reader() const { return pipe_.reader.is_open() ? static_cast<int>(pipe_.reader.get()) : -1; }
  int writer() const { return static_cast<int>(pipe_.writer.get()); }
  void close_writer() { pipe_.writer.reset(); }

  // What is there now. Once the child is up it goes on to our stderr, and all that was held with
  // it. False where there was nothing.
  bool read(const Captured& captured) {
    char buffer[4096];
    const ssize_t count = ::read(reader(), buffer, sizeof buffer);
    if (count == 0) pipe_.reader.reset();
    if (count > 0) held_.append(buffer, static_cast<std::size_t>(count));
    if (is_up(captured) || held_.size() >= kMaxHeldBytes) pass_on();
    return count > 0;
  }

  // The child has ended, and what it said is all there; a child of its own may still hold the pipe.
  void finish(Captured& captured) {
    if (pipe_.reader.is_open()) ::fcntl(reader(), F_SETFL, O_NONBLOCK);
    while (pipe_.reader.is_open() && read(captured)) {
    }
    if (is_up(captured)) {
      pass_on();
    } else {
      captured.early_errors = std::move(held_);
    }
  }

 private:
  static constexpr std::size_t kMaxHeldBytes = 4096;

  bool is_up(const Captured& captured) const {
    return !captured.output.empty() &&
           (first_bytes_.empty() ||
            first_bytes_.find(captured.output[0]) != std::string_view::npos);
  }

  void pass_on() {
    std::fwrite(held_.data(), 1, held_.size(), stderr);
    std::fflush(stderr);
    held_.clear();
  }

  const std::string_view first_bytes_;
  Pipe pipe_;
  std::string held_;
};

}  // namespace

Result<void> close_inherited_handles(std::span<const OsHandle> keep) {
  std::vector<unsigned> kept{2};
  for (const OsHandle each : keep) {
    if (each > 2) kept.push_back(static_cast<unsigned>(each));
  }
  std::sort(kept.begin(), kept.end());
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const unsigned first = kept[i] + 1;
    const unsigned last = i + 1 < kept.size() ? kept[i + 1] - 1 : UINT_MAX;
    if (first > last) continue;
    if (::syscall(SYS_close_range, first, last, 0) == 0) continue;
    // Linux before 5.9 and the seccomp filters of container runtimes from before then.
    if (errno == ENOSYS || errno == EPERM) return close_listed_handles(kept);
    return Fail{last_os_error("close inherited files")};
  }
  return {};
}

Error become(const std::string& program, const std::vector<std::string>& arguments) {
  const std::vector<char*> vector = argument_vector(program, arguments);
  ::execv(program.c_str(), vector.data());
  return last_os_error("start " + program);
}

Result<Captured> run_captured(const std::string& program, const std::vector<std::string>& arguments,
                              const std::string& directory, const std::string& input,
                              std::uint64_t limit_bytes, SignalQueue* signals,
                              std::string_view first_bytes) {
  const std::string operation = "run " + program;
  RUNHV_TRY_ASSIGN(Pipe in, make_pipe());
  RUNHV_TRY_ASSIGN(Pipe out, make_pipe());
  RUNHV_TRY_ASSIGN(Pipe failed, make_pipe());
  EarlyErrors errors(first_bytes);
  RUNHV_TRY(errors.open());
  const std::vector<char*> vector = argument_vector(program, arguments);
  const std::vector<char*> environment = child_environment();
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return Fail{last_os_error(operation)};
  if (child == 0) {
    exec_child(program.c_str(), vector.data(), environment.data(), directory.c_str(),
               static_cast<int>(in.reader.get()), static_cast<int>(out.writer.get()),
               errors.writer(), static_cast<int>(failed.writer.get()), parent);
  }
  ScopeExit reap([&] {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  });
  in.reader.reset();
  out.writer.reset();
  errors.close_writer();
  failed.writer.reset();
  int why = 0;
  if (::read(static_cast<int>(failed.reader.get()), &why, sizeof why) ==
      static_cast<ssize_t>(sizeof why)) {
    return Fail{os_error("start " + program, why)};
  }

  // A child that ends early is its own answer, not a signal to us.
  const auto previous = std::signal(SIGPIPE, SIG_IGN);
  const ScopeExit restore([&] { std::signal(SIGPIPE, previous); });
  ::fcntl(static_cast<int>(in.writer.get()), F_SETFL, O_NONBLOCK);
  Captured captured;
  std::size_t written = 0;
  char buffer[16 * 1024];
  while (true) {
    if (in.writer.is_open() && written == input.size()) in.writer.reset();
    pollfd entries[4] = {{static_cast<int>(out.reader.get()), POLLIN, 0},
                         {in.writer.is_open() ? static_cast<int>(in.writer.get()) : -1, POLLOUT, 0},
                         {signals != nullptr ? static_cast<int>(signals->handle()) : -1, POLLIN, 0},
                         {errors.reader(), POLLIN, 0}};
    if (::poll(entries, 4, -1) < 0 && errno != EINTR) return Fail{last_os_error(operation)};
    if (signals != nullptr) captured.asked_to_end = next_that_ends(*signals);
    if (captured.asked_to_end) return captured;
    if (entries[1].revents != 0) {
      const ssize_t count = ::write(entries[1].fd, input.data() + written, input.size() - written);
      if (count > 0) written += static_cast<std::size_t>(count);
      if (count < 0 && errno != EAGAIN && errno != EINTR) in.writer.reset();
    }
    if (entries[3].revents != 0) errors.read(captured);
    if (entries[0].revents == 0) continue;
    const ssize_t count = ::read(entries[0].fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Fail{last_os_error(operation)};
    if (count == 0) break;
    if (captured.output.size() + static_cast<std::size_t>(count) > limit_bytes) {
      return Fail{Error{Code::kCorruptInput, operation,
                        "its answer is longer than " + std::to_string(limit_bytes) + " bytes"}};
    }
    captured.output.append(buffer, static_cast<std::size_t>(count));
  }
  reap.release();
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  // A terminal's interrupt ends the child as well, and maybe sooner than we look.
  if (signals != nullptr) captured.asked_to_end = next_that_ends(*signals);
  errors.finish(captured);
  captured.exit_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return captured;
}

std::vector<std::string> program_arguments(int argc, char** argv) {
  return argc > 0 ? std::vector<std::string>(argv + 1, argv + argc) : std::vector<std::string>();
}

std::string working_directory_name() { return "/proc/self/cwd"; }

Result<ProcessEnd> ProcessEnd::watch(std::uint64_t pid) {
  const std::string operation = "watch process " + std::to_string(pid);
  if (pid == 0 || pid > INT32_MAX)
    return Fail{Error{Code::kNotFound, operation, "no such process"}};
  const long file = ::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0);
  if (file >= 0) return ProcessEnd(UniqueHandle(file));
  if (errno == ESRCH) return Fail{Error{Code::kNotFound, operation, "no such process"}};
  if (errno == ENOSYS || errno == EPERM) {
    return Fail{Error{Code::kUnsupported, operation, "this system has no pidfd_open"}};
  }
  return Fail{last_os_error(operation)};
}

std::uint64_t private_bytes() {
  std::FILE* file = std::fopen("/proc/self/status", "re");
  if (file == nullptr) return 0;
  const ScopeExit close([&] { std::fclose(file); });
  char line[256];
  while (std::fgets(line, sizeof line, file) != nullptr) {
    unsigned long long kib = 0;
    if (std::sscanf(line, "RssAnon: %llu kB", &kib) == 1) return kib * 1024;
  }
  return 0;
}

std::vector<std::string> programs_in_path(const std::string& name) {
  std::vector<std::string> found;
  const std::string folders = environment("PATH");
  for (std::size_t begin = 0; begin < folders.size();) {
    const std::size_t end = std::min(folders.find(':', begin), folders.size());
    const std::string path = folders.substr(begin, end - begin) + "/" + name;
    char* resolved =
        ::access(path.c_str(), X_OK) == 0 ? ::realpath(path.c_str(), nullptr) : nullptr;
    if (resolved != nullptr) found.emplace_back(resolved);
    std::free(resolved);
    begin = end + 1;
  }
  return found;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::uint32_t current_user_id() { return ::getuid(); }

std::string surroundings() {
  std::string text = "user " + std::to_string(::getuid()) + ":" + std::to_string(::getgid());
  const mode_t mask = ::umask(0);
  ::umask(mask);
  text += " mask " + std::to_string(mask);
  // namespaces(7)
  for (const char* kind : {"mnt", "net", "pid", "user"}) {
    char name[64];
    const std::string link = std::string("/proc/self/ns/") + kind;
    const ssize_t size = ::readlink(link.c_str(), name, sizeof name);
    if (size > 0) text += " " + std::string(name, static_cast<std::size_t>(size));
  }
  return text;
}

std::vector<std::string> whole_environment() {
  std::vector<std::string> variables;
  for (char** entry = ::environ; *entry != nullptr; ++entry) variables.emplace_back(*entry);
  return variables;
}

std::uint64_t current_process_id() { return static_cast<std::uint64_t>(::getpid()); }

void kill_process(std::uint64_t pid) {
  // 0 and what is negative are groups of processes.
  if (pid > 1 && pid <= INT32_MAX) ::kill(static_cast<pid_t>(pid), SIGKILL);
}

}  // namespace runhv::platform
