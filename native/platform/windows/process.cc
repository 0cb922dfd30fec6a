#include "platform/process.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>

#include "platform/event_loop.h"
#include "platform/file.h"
#include "platform/os_error.h"
#include "platform/readiness.h"
#include "platform/stream.h"
#include "platform/windows/child_process.h"
#include "platform/windows/child_streams.h"
#include "platform/windows/command_line.h"
#include "platform/windows/user.h"
#include "platform/windows/utf16.h"

namespace runhv::platform {
namespace {

constexpr std::size_t kMaxHeldBytes = 4096;

// A child's answer and what it says on stderr, until its end.
class Capture {
 public:
  Capture(EventLoop& loop, std::string operation, std::uint64_t limit_bytes,
          std::string_view first_bytes)
      : loop_(loop),
        operation_(std::move(operation)),
        limit_bytes_(limit_bytes),
        first_bytes_(first_bytes) {}

  Result<void> watch(ChildPipe& output, ChildPipe& errors) {
    RUNHV_TRY_ASSIGN(output_, Stream::adopt_owned(std::move(output.reader), true));
    RUNHV_TRY_ASSIGN(errors_, Stream::adopt_owned(std::move(errors.reader), true));
    RUNHV_TRY(output_->bind(loop_));
    RUNHV_TRY(errors_->bind(loop_));
    read_output();
    read_errors();
    return {};
  }

  void read_output() {
    std::byte buffer[16 * 1024];
    IoResult result = output_->read(buffer);
    for (; result.status == IoStatus::kDone; result = output_->read(buffer)) {
      if (captured_.output.size() + result.bytes > limit_bytes_) {
        failure_ = Error{Code::kCorruptInput, operation_,
                         "its answer is longer than " + std::to_string(limit_bytes_) + " bytes"};
        return loop_.stop();
      }
      captured_.output.append(reinterpret_cast<const char*>(buffer), result.bytes);
    }
    if (is_up()) pass_on();
    if (result.status == IoStatus::kWouldBlock) {
      return output_->on_readable([this] { read_output(); });
    }
    if (result.status == IoStatus::kFailed) failure_ = os_error(operation_, result.os_code);
    output_ended_ = true;
    end_if_all_has();
  }

  void read_errors() {
    std::byte buffer[4096];
    IoResult result = errors_->read(buffer);
    for (; result.status == IoStatus::kDone; result = errors_->read(buffer)) {
      held_.append(reinterpret_cast<const char*>(buffer), result.bytes);
      if (is_up() || held_.size() >= kMaxHeldBytes) pass_on();
    }
    if (result.status == IoStatus::kWouldBlock) {
      return errors_->on_readable([this] { read_errors(); });
    }
    errors_ended_ = true;
    end_if_all_has();
  }

  Result<Captured> finish(const ChildProcess& child) {
    if (failure_) return Fail{*std::move(failure_)};
    if (captured_.asked_to_end) return std::move(captured_);
    if (is_up()) {
      pass_on();
    } else {
      captured_.early_errors = std::move(held_);
    }
    captured_.exit_status = child.exit_status();
    return std::move(captured_);
  }

  void ask_to_end(int signal) {
    captured_.asked_to_end = signal;
    loop_.stop();
  }

 private:
  bool is_up() const {
    return !captured_.output.empty() &&
           (first_bytes_.empty() ||
            first_bytes_.find(captured_.output[0]) != std::string_view::npos);
  }

  void pass_on() {
    std::fwrite(held_.data(), 1, held_.size(), stderr);
    std::fflush(stderr);
    held_.clear();
  }

  void end_if_all_has() {
    if (output_ended_ && errors_ended_) loop_.stop();
  }

  EventLoop& loop_;
  const std::string operation_;
  const std::uint64_t limit_bytes_;
  const std::string_view first_bytes_;
  Captured captured_;
  std::string held_;
  std::optional<Error> failure_;
  std::optional<Stream> output_, errors_;
  bool output_ended_ = false;
  bool errors_ended_ = false;
};

BOOL WINAPI leave_to_child(DWORD what) {
  // A window that closes, a user who leaves: when this returns the system ends this process, and
  // its job ends the child.
  if (what != CTRL_C_EVENT && what != CTRL_BREAK_EVENT) ::Sleep(INFINITE);
  return TRUE;
}

}  // namespace

std::vector<std::string> program_arguments(int, char**) {
  return split_command_line(::GetCommandLineW());
}

// The system gives a child the handles of a list, so whoever starts us has named them: there are no
// others that we could know of.
Result<void> close_inherited_handles(std::span<const OsHandle>) { return {}; }

Error become(const std::string& program, const std::vector<std::string>& arguments) {
  // A console tells all its processes: the child answers for both. Not by a null handler, with
  // which the child would begin deaf as well.
  ::SetConsoleCtrlHandler(leave_to_child, TRUE);
  const auto child = ChildProcess::start(
      {.program = program,
       .arguments = arguments,
       .directory = {},
       .streams = {::GetStdHandle(STD_INPUT_HANDLE), ::GetStdHandle(STD_OUTPUT_HANDLE),
                   ::GetStdHandle(STD_ERROR_HANDLE)}});
  if (!child) return child.error();
  ::ExitProcess(static_cast<UINT>(child->exit_status()));
}

Result<Captured> run_captured(const std::string& program, const std::vector<std::string>& arguments,
                              const std::string& directory, const std::string& input,
                              std::uint64_t limit_bytes, SignalQueue* signals,
                              std::string_view first_bytes) {
  const std::string operation = "run " + program;
  ChildPipe in, out, errors;
  if (!in.open() || !out.open() || !errors.open()) return Fail{last_os_error(operation)};
  RUNHV_TRY_ASSIGN(const auto loop, EventLoop::create());
  RUNHV_TRY_ASSIGN(const auto child,
                   ChildProcess::start({.program = program,
                                        .arguments = arguments,
                                        .directory = directory,
                                        .streams = {native(in.reader), native(out.writer),
                                                    native(errors.writer)}}));
  in.reader.reset();
  out.writer.reset();
  errors.writer.reset();
  Capture capture(*loop, operation, limit_bytes, first_bytes);
  ChildInput given(input);
  RUNHV_TRY(capture.watch(out, errors));
  RUNHV_TRY(given.watch(*loop, in));
  Readiness signalled;  // of the queue, which another loop may have as well
  const std::function<void()> look = [&] {
    if (const auto signal = next_that_ends(*signals)) return capture.ask_to_end(*signal);
    signalled.on_readable(look);
  };
  if (signals != nullptr) {
    RUNHV_TRY(signalled.bind(*loop, signals->handle()));
    signalled.on_readable(look);
  }
  RUNHV_TRY(loop->run());
  return capture.finish(child);
}

// There is none but its own name.
std::string working_directory_name() { return "."; }

Result<ProcessEnd> ProcessEnd::watch(std::uint64_t pid) {
  const std::string operation = "watch process " + std::to_string(pid);
  if (pid == 0 || pid > UINT32_MAX)
    return Fail{Error{Code::kNotFound, operation, "no such process"}};
  UniqueHandle process = own(::OpenProcess(SYNCHRONIZE, FALSE, static_cast<DWORD>(pid)));
  if (process.is_open()) return ProcessEnd(std::move(process));
  if (::GetLastError() == ERROR_INVALID_PARAMETER)
    return Fail{Error{Code::kNotFound, operation, "no such process"}};
  return Fail{last_os_error(operation)};
}

std::uint64_t private_bytes() {
  PROCESS_MEMORY_COUNTERS_EX counters{};
  counters.cb = sizeof counters;
  if (!::GetProcessMemoryInfo(::GetCurrentProcess(),
                              reinterpret_cast<PROCESS_MEMORY_COUNTERS*>(&counters),
                              sizeof counters)) {
    return 0;
  }
  // PrivateUsage counts what is committed, too, and guest RAM is that from the start. Wine does not
  // know it.
  if (counters.PrivateUsage == 0) return counters.WorkingSetSize;
  return std::min<std::uint64_t>(counters.WorkingSetSize, counters.PrivateUsage);
}

std::vector<std::string> programs_in_path(const std::string& name) {
  std::vector<std::string> found;
  const std::string folders = environment("PATH");
  const std::string file = name.ends_with(".exe") ? name : name + ".exe";
  for (std::size_t begin = 0; begin < folders.size();) {
    const std::size_t end = std::min(folders.find(';', begin), folders.size());
    const std::string path = folders.substr(begin, end - begin) + "\\" + file;
    if (begin < end && file_exists(path)) found.push_back(path);
    begin = end + 1;
  }
  return found;
}

std::uint32_t current_user_id() {
  const auto user = UserSid::own("ask who this user is");
  return user ? user->number() : 0;
}

// The logon: drives are of one, and who has raised his rights has another.
std::string surroundings() {
  const std::string operation = "ask who this user is";
  const auto user = ProcessUser::own(operation);
  const auto text = user ? user->sid.text(operation) : Result<std::wstring>(Fail{user.error()});
  return "user " + (text ? to_utf8(*text) : "unknown") + ", logon " +
         (user ? std::to_string(user->logon) : "unknown");
}

std::uint64_t current_process_id() { return ::GetCurrentProcessId(); }

void kill_process(std::uint64_t pid) {
  if (pid == 0 || pid > UINT32_MAX) return;
  const UniqueHandle process =
      own(::OpenProcess(PROCESS_TERMINATE, FALSE, static_cast<DWORD>(pid)));
  // As a shell writes the end by SIGKILL.
  if (process.is_open()) ::TerminateProcess(native(process), 128 + 9);
}

}  // namespace runhv::platform
