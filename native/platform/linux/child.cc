#include "platform/child.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/scope_exit.h"
#include "platform/clock.h"
#include "platform/complain.h"
#include "platform/event_loop.h"
#include "platform/linux/descriptor.h"
#include "platform/os_error.h"
#include "platform/pipe.h"
#include "platform/process.h"
#include "platform/stream.h"

namespace runhv::platform {
namespace {

constexpr std::size_t kKeptOutputBytes = 4096;

std::string read_all(const UniqueHandle& reader) {
  std::string text;
  char buffer[1024];
  while (true) {
    const ssize_t count = ::read(number(reader), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
  }
}

// An Error from the child, as bytes: its numbers, then its two texts.
struct ErrorHead {
  std::int32_t code;
  std::int32_t domain;
  std::int64_t os_code;
  std::uint64_t operation_bytes;
};

void write_error(const UniqueHandle& writer, const Error& error) {
  const ErrorHead head{static_cast<std::int32_t>(error.code),
                       static_cast<std::int32_t>(error.domain), error.os_code,
                       error.operation.size()};
  std::string text(reinterpret_cast<const char*>(&head), sizeof head);
  text += error.operation + error.detail;
  [[maybe_unused]] const ssize_t ignored = ::write(number(writer), text.data(), text.size());
}

Error read_error(std::string_view text) {
  ErrorHead head{};
  if (text.size() < sizeof head) return {Code::kHostFailed, "start a process", "it broke off"};
  std::memcpy(&head, text.data(), sizeof head);
  text.remove_prefix(sizeof head);
  return {static_cast<Code>(head.code), std::string(text.substr(0, head.operation_bytes)),
          std::string(text.substr(std::min<std::size_t>(head.operation_bytes, text.size()))),
          static_cast<Domain>(head.domain), head.os_code};
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return kOurFailure;
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> vector;
  for (const std::string& text : texts) vector.push_back(const_cast<char*>(text.c_str()));
  vector.push_back(nullptr);
  return vector;
}

Result<void> write_text(const std::string& path, const std::string& text) {
  const std::string operation = "write " + path;
  const UniqueHandle file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.is_open() ||
      ::write(number(file), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return Fail{last_os_error(operation)};
  }
  return {};
}

}  // namespace

void Child::signal(int signal) const { ::kill(static_cast<pid_t>(pid_), signal); }

int Child::wait() const { return wait_for(static_cast<pid_t>(pid_)); }

Result<void> check_can_fork(const std::string&) { return {}; }

Result<Child> start_child(const std::function<Result<int>(const Ready& ready)>& run) {
  RUNHV_TRY_ASSIGN(Pipe pipe, make_pipe());
  UniqueHandle &reader = pipe.reader, &writer = pipe.writer;
  const pid_t child = ::fork();
  if (child < 0) return Fail{last_os_error("start a process")};
  if (child == 0) {
    reader.reset();
    const auto status = run([&writer] { writer.reset(); });
    if (!status) {
      // Once it was ready, nobody listens.
      writer.is_open() ? write_error(writer, status.error())
                       : static_cast<void>(complain(status.error()));
    }
    ::_exit(status ? *status : kOurFailure);
  }
  writer.reset();
  // Ended by exec, by `ready`, or with the child.
  const std::string failure = read_all(reader);
  if (failure.empty()) return Child(static_cast<std::uint64_t>(child));
  wait_for(child);
  return Fail{read_error(failure)};
}

Result<Child> start_beside(const std::string& program, const std::vector<std::string>& arguments) {
  return start_child([&](const Ready&) -> Result<int> { return Fail{become(program, arguments)}; });
}

namespace {

// What this process waits for or passes over is not the affair of a program that it becomes.
void forget_signals() {
  ::sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int ignored : {SIGPIPE, SIGXFSZ}) std::signal(ignored, SIG_DFL);
}

// Every handle above stderr ends with the next exec, whoever opened it.
Result<void> close_on_exec() {
  DIR* directory = ::opendir("/proc/self/fd");
  if (directory == nullptr) return Fail{last_os_error("close inherited files: list /proc/self/fd")};
  const ScopeExit close([&] { ::closedir(directory); });
  while (const dirent* entry = ::readdir(directory)) {
    const int file = std::atoi(entry->d_name);
    if (file > 2) ::fcntl(file, F_SETFD, FD_CLOEXEC);
  }
  return {};
}

// What there is now; the first kKeptOutputBytes are kept. False once it has ended.
bool take_output(Stream& stream, std::string& output) {
  while (true) {
    std::array<std::byte, 1024> bytes;
    const IoResult read = stream.read(bytes);
    if (read.status == IoStatus::kWouldBlock) return true;
    if (read.status != IoStatus::kDone) return false;
    const std::size_t room = kKeptOutputBytes - output.size();
    output.append(reinterpret_cast<const char*>(bytes.data()), std::min(room, read.bytes));
  }
}

// What the stream takes now of `rest`. False once there is no more to give, or nobody who takes it.
bool give_input(Stream& stream, std::string_view& rest) {
  while (!rest.empty()) {
    const IoResult written = stream.write(as_bytes(rest));
    if (written.status == IoStatus::kWouldBlock) return true;
    if (written.status != IoStatus::kDone) return false;
    rest.remove_prefix(written.bytes);
  }
  return false;
}

}  // namespace

Result<ProgramEnd> run_program(const Program& program) {
  const std::string operation = "run " + program.path;
  RUNHV_TRY_ASSIGN(Pipe in, make_pipe());
  RUNHV_TRY_ASSIGN(Pipe out, make_pipe());
  RUNHV_TRY_ASSIGN(
      const Child child, start_child([&](const Ready&) -> Result<int> {
        RUNHV_TRY(set_standard_streams({in.reader.get(), out.writer.get(), out.writer.get()}));
        const std::vector<std::string> name{program.path};
        const auto arguments = pointers(program.arguments.empty() ? name : program.arguments);
        forget_signals();
        std::vector<char*> own;
        if (program.environment) own = pointers(*program.environment);
        ::execve(program.path.c_str(), arguments.data(),
                 program.environment ? own.data() : environ);
        return Fail{last_os_error(operation)};
      }));
  ScopeExit kill([&] {
    kill_process(child.pid());
    static_cast<void>(child.wait());
  });
  in.reader.reset();
  out.writer.reset();
  const auto previous = std::signal(SIGPIPE, SIG_IGN);
  const ScopeExit restore([&] { std::signal(SIGPIPE, previous); });
  RUNHV_TRY_ASSIGN(const auto loop, EventLoop::create());
  RUNHV_TRY_ASSIGN(std::optional<Stream> input, Stream::adopt_owned(std::move(in.writer), false));
  RUNHV_TRY_ASSIGN(std::optional<Stream> output, Stream::adopt_owned(std::move(out.reader), true));
  RUNHV_TRY_ASSIGN(ProcessEnd process, ProcessEnd::watch(child.pid()));
  RUNHV_TRY(input->bind(*loop));
  RUNHV_TRY(output->bind(*loop));
  RUNHV_TRY(process.bind(*loop));
  bool ended = false;
  process.on_end([&ended] { ended = true; });
  const std::uint64_t deadline = monotonic_ns() + program.timeout_ns;
  std::string_view rest = program.input;
  ProgramEnd end{};
  // What it has said is read; a process that it leaves behind may hold the pipe for longer.
  while (!ended && monotonic_ns() < deadline) {
    if (input && !give_input(*input, rest)) input.reset();
    if (output && !take_output(*output, end.output)) output.reset();
    if (input) input->on_writable([] {});
    if (output) output->on_readable([] {});
    RUNHV_TRY(loop->run_once(deadline));
  }
  if (output) static_cast<void>(take_output(*output, end.output));
  if (!ended) {
    return Fail{Error{Code::kTimedOut, operation,
                      "it did not end within " +
                          std::to_string(program.timeout_ns / 1'000'000'000) +
                          " s, and was killed"}};
  }
  kill.release();
  end.exit_status = child.wait();
  return end;
}

Result<void> start_detached(const Detached& program) {
  const std::string operation = "start " + program.path;
  // The child of a child that has ended is nobody's.
  RUNHV_TRY_ASSIGN(const Child between, start_child([&](const Ready&) -> Result<int> {
                     RUNHV_TRY(begin_session(kInvalidHandle));
                     const pid_t child = ::fork();
                     if (child < 0) return Fail{last_os_error(operation)};
                     if (child > 0) return 0;
                     RUNHV_TRY(close_on_exec());
                     RUNHV_TRY(keep_across_become(program.kept));
                     RUNHV_TRY(give_up_standard_streams());
                     RUNHV_TRY(set_standard_streams({program.input, program.output, 2}));
                     if (::chdir(program.folder.c_str()) != 0) {
                       return Fail{last_os_error("enter " + program.folder)};
                     }
                     forget_signals();
                     std::vector<std::string> arguments = program.arguments;
                     arguments.insert(arguments.begin(), program.path);
                     ::execve(program.path.c_str(), pointers(arguments).data(),
                              pointers(program.environment).data());
                     return Fail{last_os_error(operation)};
                   }));
  static_cast<void>(between.wait());
  return {};
}

Result<void> place_this_process(const Placement& placement) {
  for (const std::string& folder : placement.cgroups) {
    // cgroups(7): 0 is who writes. That a thread moves alone, as cgroup v1 lets it, the system's
    // forks need not wait for: it saves a grace period of RCU, some 10 ms.
    const std::string alone = folder + "/tasks";
    const bool can_be_alone = ::access(alone.c_str(), F_OK) == 0;
    RUNHV_TRY(write_text(can_be_alone ? alone : folder + "/cgroup.procs", "0"));
  }
  if (placement.oom_score_adj) {
    RUNHV_TRY(write_text("/proc/self/oom_score_adj", std::to_string(*placement.oom_score_adj)));
  }
  if (placement.new_network_namespace && ::unshare(CLONE_NEWNET) != 0) {
    return Fail{last_os_error("make a network namespace")};
  }
  if (!placement.user_namespace.empty()) {
    const UniqueHandle users(::open(placement.user_namespace.c_str(), O_RDONLY | O_CLOEXEC));
    if (!users.is_open() || ::setns(number(users), CLONE_NEWUSER) != 0) {
      return Fail{last_os_error("enter user namespace " + placement.user_namespace)};
    }
  }
  if (placement.network_namespace.empty()) return {};
  const std::string operation = "enter network namespace " + placement.network_namespace;
  const UniqueHandle file(::open(placement.network_namespace.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat wanted {};
  struct stat ours {};
  if (file.is_open() && ::fstat(number(file), &wanted) == 0 &&
      ::stat("/proc/self/ns/net", &ours) == 0 && wanted.st_dev == ours.st_dev &&
      wanted.st_ino == ours.st_ino) {
    return Fail{Error{Code::kUnsupported, operation,
                      "it is that of whoever runs us: the host's, which a micro-VM cannot share"}};
  }
  if (!file.is_open() || ::setns(number(file), CLONE_NEWNET) != 0) {
    return Fail{last_os_error(operation)};
  }
  return {};
}

Result<void> set_standard_streams(const std::array<OsHandle, 3>& handles) {
  // Aside first: one of them may be 0, 1 or 2 itself.
  std::array<UniqueHandle, 3> aside;
  for (std::size_t i = 0; i < handles.size(); ++i) {
    aside[i].reset(::fcntl(static_cast<int>(handles[i]), F_DUPFD_CLOEXEC, 3));
    if (!aside[i].is_open()) return Fail{last_os_error("set a standard stream")};
  }
  for (std::size_t i = 0; i < handles.size(); ++i) {
    if (::dup2(number(aside[i]), static_cast<int>(i)) < 0) {
      return Fail{last_os_error("set a standard stream")};
    }
  }
  return {};
}

Result<void> give_up_standard_streams() {
  const UniqueHandle null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.is_open()) return Fail{last_os_error("open /dev/null")};
  return set_standard_streams({null.get(), null.get(), null.get()});
}

Result<void> begin_session(OsHandle terminal) {
  if (::setsid() < 0) return Fail{last_os_error("begin a session")};
  if (terminal != kInvalidHandle && ::ioctl(static_cast<int>(terminal), TIOCSCTTY, 0) != 0) {
    return Fail{last_os_error("control a terminal")};
  }
  return {};
}

Result<void> keep_across_become(OsHandle handle) {
  if (::fcntl(static_cast<int>(handle), F_SETFD, 0) != 0) {
    return Fail{last_os_error("keep a handle")};
  }
  return {};
}

}  // namespace runhv::platform
