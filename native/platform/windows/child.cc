#include "platform/child.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "platform/clock.h"
#include "platform/event_loop.h"
#include "platform/library.h"
#include "platform/os_error.h"
#include "platform/readiness.h"
#include "platform/standard_streams.h"
#include "platform/windows/child_process.h"
#include "platform/windows/child_streams.h"
#include "platform/windows/environment_block.h"
#include "platform/windows/system.h"

namespace runhv::platform {
namespace {

Fail<Error> not_here(const std::string& operation, const std::string& why) {
  return Fail{Error{Code::kUnsupported, operation, why}};
}

UniqueHandle open_null_device() {
  return own(::CreateFileW(L"NUL", GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE,
                           nullptr, OPEN_EXISTING, 0, nullptr));
}

// The variables that every program of this user begins with, and nothing of this process's own.
Result<std::vector<std::string>> environment_of_user(const std::string& operation) {
  using Create = BOOL(WINAPI*)(void**, HANDLE, BOOL);
  using Destroy = BOOL(WINAPI*)(void*);
  // Not loaded with the program: few commands start what stays.
  RUNHV_TRY_ASSIGN(const Library library, Library::open("userenv.dll"));
  const auto create = reinterpret_cast<Create>(library.find("CreateEnvironmentBlock"));
  const auto destroy = reinterpret_cast<Destroy>(library.find("DestroyEnvironmentBlock"));
  if (create == nullptr || destroy == nullptr) {
    return not_here(operation, "userenv.dll has no CreateEnvironmentBlock");
  }
  HANDLE opened = nullptr;
  void* block = nullptr;
  if (!::OpenProcessToken(::GetCurrentProcess(), TOKEN_QUERY | TOKEN_DUPLICATE, &opened)) {
    return Fail{last_os_error(operation)};
  }
  const UniqueHandle token = own(opened);
  if (!create(&block, native(token), FALSE)) return Fail{last_os_error(operation)};
  const std::vector<std::string> variables = variables_of(static_cast<const wchar_t*>(block));
  destroy(block);
  return variables;
}

// The first of what a program writes; the rest is read and dropped.
class ProgramOutput {
 public:
  Result<void> watch(EventLoop& loop, ChildPipe& pipe) {
    RUNHV_TRY_ASSIGN(stream_, Stream::adopt_owned(std::move(pipe.reader), true));
    RUNHV_TRY(stream_->bind(loop));
    read();
    return {};
  }
  bool has_ended() const { return ended_; }
  std::string text() && { return std::move(text_); }

 private:
  static constexpr std::size_t kMostBytes = 4096;

  void read() {
    std::byte buffer[kMostBytes];
    IoResult result = stream_->read(buffer);
    for (; result.status == IoStatus::kDone; result = stream_->read(buffer)) {
      text_.append(reinterpret_cast<const char*>(buffer),
                   std::min(result.bytes, kMostBytes - text_.size()));
    }
    ended_ = result.status != IoStatus::kWouldBlock;
    if (!ended_) stream_->on_readable([this] { read(); });
  }

  std::optional<Stream> stream_;
  std::string text_;
  bool ended_ = false;
};

}  // namespace

void Child::signal(int) const {}

int Child::wait() const {
  ::WaitForSingleObject(native(process_), INFINITE);
  DWORD status = 0;
  RUNHV_CHECK(::GetExitCodeProcess(native(process_), &status) != 0);
  return static_cast<int>(status);
}

Result<Child> start_child(const std::function<Result<int>(const Ready&)>&) {
  return Fail{check_can_fork("start a process").error()};
}

Result<void> check_can_fork(const std::string& operation) {
  return not_here(operation,
                  "this needs fork(2), which Windows has not; run --bundle and exec do without");
}

Result<Child> start_beside(const std::string& program, const std::vector<std::string>& arguments) {
  RUNHV_TRY_ASSIGN(ChildProcess child, ChildProcess::start({.program = program,
                                                            .arguments = arguments,
                                                            .directory = {},
                                                            .streams = {native(standard_stream(0)),
                                                                        native(standard_stream(1)),
                                                                        native(standard_stream(2))},
                                                            .bound = ChildProcess::Bound::kFree}));
  const DWORD pid = ::GetProcessId(child.handle());
  return Child(pid, std::move(child).release());
}

Result<ProgramEnd> run_program(const Program& program) {
  const std::string operation = "run " + program.path;
  ChildPipe in, out;
  if (!in.open() || !out.open()) return Fail{last_os_error(operation)};
  RUNHV_TRY_ASSIGN(const auto loop, EventLoop::create());
  std::vector<std::string> arguments = program.arguments;
  if (!arguments.empty()) arguments.erase(arguments.begin());  // its name
  RUNHV_TRY_ASSIGN(const ChildProcess child,
                   ChildProcess::start(
                       {.program = program.path,
                        .arguments = std::move(arguments),
                        .directory = {},
                        .streams = {native(in.reader), native(out.writer), native(out.writer)},
                        .environment = program.environment.value_or(std::vector<std::string>())}));
  in.reader.reset();
  out.writer.reset();
  ChildInput input(program.input);
  RUNHV_TRY(input.watch(*loop, in));
  ProgramOutput output;
  RUNHV_TRY(output.watch(*loop, out));
  Readiness end;
  RUNHV_TRY(end.bind(*loop, reinterpret_cast<OsHandle>(child.handle())));
  bool ended = false;
  end.on_readable([&ended] { ended = true; });
  const std::uint64_t deadline_ns = monotonic_ns() + program.timeout_ns;
  while (!ended || !output.has_ended()) {
    if (monotonic_ns() >= deadline_ns) {
      // With the job it is killed.
      return Fail{Error{Code::kTimedOut, operation, "it did not end in time, and was killed"}};
    }
    RUNHV_TRY(loop->run_once(deadline_ns));
  }
  return ProgramEnd{child.exit_status(), std::move(output).text()};
}

Result<void> start_detached(const Detached& program) {
  const std::string operation = "start " + program.path;
  RUNHV_TRY_ASSIGN(const std::vector<std::string> of_user, environment_of_user(operation));
  const UniqueHandle null = open_null_device();
  if (!null.is_open()) return Fail{last_os_error(operation)};
  RUNHV_TRY(
      ChildProcess::start({.program = program.path,
                           .arguments = program.arguments,
                           .directory = program.folder,
                           .streams = {native(null), native(program.output), native(null)},
                           .environment = environment_of_program(of_user, program.environment),
                           .bound = ChildProcess::Bound::kDetached}));
  return {};
}

Result<void> place_this_process(const Placement&) {
  return not_here("place the process", "Windows has neither cgroups nor network namespaces");
}

Result<void> set_standard_streams(const std::array<OsHandle, 3>& handles) {
  const std::string operation = "set the standard streams";
  const std::array<DWORD, 3> streams{STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
  for (std::size_t i = 0; i < streams.size(); ++i) {
    if (!::SetStdHandle(streams[i], native(handles[i]))) return Fail{last_os_error(operation)};
  }
  return {};
}

Result<void> give_up_standard_streams() {
  const std::string operation = "open the null device";
  for (const DWORD stream : {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE}) {
    UniqueHandle null = open_null_device();
    if (!null.is_open()) return Fail{last_os_error(operation)};
    // Its readers see the end of the old one.
    const HANDLE before = ::GetStdHandle(stream);
    if (!::SetStdHandle(stream, native(null))) return Fail{last_os_error(operation)};
    static_cast<void>(null.release());
    if (before != nullptr && before != INVALID_HANDLE_VALUE) ::CloseHandle(before);
  }
  return {};
}

Result<void> begin_session(OsHandle) {
  return not_here("begin a session", "Windows has none: a console is a process's from its start");
}

Result<void> keep_across_become(OsHandle) {
  return not_here("keep a handle for the next program",
                  "on Windows a program is told which handles it gets when it starts");
}

}  // namespace runhv::platform
