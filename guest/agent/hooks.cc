#include "hooks.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "sys.h"

namespace runhv::agent {
namespace {

// The vectors of execve(2), one behind the other, in memory of their own.
char** make_hook_vectors(const HookRecord& hook, char**& environment) {
  const std::size_t arguments = hook.how.arguments == 0 ? 1 : hook.how.arguments;
  const std::size_t count = arguments + hook.how.variables + 2;
  void* memory = sys::map(count * sizeof(char*));
  if (sys::map_failed(memory)) return nullptr;
  auto** vector = static_cast<char**>(memory);
  environment = vector + arguments + 1;
  if (hook.how.arguments == 0) vector[0] = const_cast<char*>(hook.path);
  const char* text = hook.strings;
  for (std::size_t i = 0; i < hook.how.arguments + hook.how.variables; ++i) {
    char** place = i < hook.how.arguments ? vector + i : environment + (i - hook.how.arguments);
    *place = const_cast<char*>(text);
    text += strlen(text) + 1;
  }
  return vector;
}

// A file that holds the state, at its beginning.
int state_file(const char* state) {
  const int file = sys::memfd_create("state");
  if (file < 0) return file;
  const std::size_t size = strlen(state);
  long result = 0;
  for (std::size_t written = 0; written < size && result >= 0;) {
    result = sys::write(file, state + written, size - written);
    written += static_cast<std::size_t>(result < 0 ? 0 : result);
  }
  if (result >= 0) result = sys::lseek(file, 0, 0 /* SEEK_SET */);
  if (result >= 0) return file;
  sys::close(file);
  return static_cast<int>(result);
}

[[noreturn]] void become_hook(const HookRecord& hook, int state) {
  char** environment = nullptr;
  char** arguments = make_hook_vectors(hook, environment);
  const int null = sys::open("/dev/null", O_WRONLY);
  if (arguments != nullptr && null >= 0 && sys::dup3(state, 0, 0) == 0 &&
      sys::dup3(null, 1, 0) == 1 && sys::dup3(null, 2, 0) == 2) {
    sys::umask(022);
    sys::execve(hook.path, arguments, environment);
  }
  sys::exit(127);
}

// Waits for its end; kills what takes too long. A negative errno, or the status of wait(2).
long end_of_hook(int pid, std::uint32_t timeout_seconds, bool& late) {
  if (timeout_seconds != 0) {
    pollfd ended = {sys::pidfd_open(pid), POLLIN, 0};
    const timespec timeout = {static_cast<time_t>(timeout_seconds), 0};
    late = ended.fd < 0 || sys::ppoll(&ended, 1, &timeout) != 1;
    if (ended.fd >= 0) sys::close(ended.fd);
    if (late) sys::kill(pid, SIGKILL);
  }
  int status = 0;
  const long result = sys::wait4(pid, &status, 0);
  return result < 0 ? result : status;
}

bool run_hook(const HookRecord& hook, Failure& failure) {
  constexpr std::string_view kStep = "run the startContainer hook ";
  const int state = state_file(hook.state);
  if (state < 0) return failure.set(state, kStep, hook.path);
  const int pid = sys::fork();
  if (pid == 0) become_hook(hook, state);
  sys::close(state);
  if (pid < 0) return failure.set(pid, kStep, hook.path);
  bool late = false;
  const long status = end_of_hook(pid, hook.how.timeout_seconds, late);
  if (late) return failure.set(-ETIMEDOUT, kStep, hook.path);
  if (status < 0) return failure.set(status, kStep, hook.path);
  if (status == 0) return true;
  const int ended = static_cast<int>(status);
  Text<64> end(WIFSIGNALED(ended) ? ": ended by signal " : ": exit status ");
  end.add_number(static_cast<unsigned>(WIFSIGNALED(ended) ? WTERMSIG(ended) : WEXITSTATUS(ended)));
  return failure.set(0, kStep, hook.path, end.view());
}

}  // namespace

bool run_hooks(const ContainerRequest& container, Failure& failure) {
  return for_each(container.records, RUNHV_REC_HOOK, [&](const Record& record) {
    HookRecord hook;
    decode(record, hook);
    return run_hook(hook, failure);
  });
}

}  // namespace runhv::agent
