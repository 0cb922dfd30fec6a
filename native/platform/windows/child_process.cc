#include "platform/windows/child_process.h"

#include "platform/os_error.h"
#include "platform/windows/command_line.h"
#include "platform/windows/environment_block.h"
#include "platform/windows/native_path.h"
#include "platform/windows/utf16.h"

namespace runhv::platform {
namespace {

// Copies of the handles that a child may inherit, each once.
class Inheritable {
 public:
  explicit Inheritable(const std::array<HANDLE, 3>& streams) {
    for (std::size_t i = 0; i < streams.size(); ++i) {
      HANDLE copy = nullptr;
      if (streams[i] == nullptr || streams[i] == INVALID_HANDLE_VALUE) continue;
      if (!::DuplicateHandle(::GetCurrentProcess(), streams[i], ::GetCurrentProcess(), &copy, 0,
                             TRUE, DUPLICATE_SAME_ACCESS)) {
        continue;  // closed: so it is in the child
      }
      copies_[i] = own(copy);
      list_.push_back(copy);
    }
  }
  HANDLE stream(std::size_t i) const { return copies_[i].is_open() ? native(copies_[i]) : nullptr; }
  std::vector<HANDLE>& list() { return list_; }

 private:
  std::array<UniqueHandle, 3> copies_;
  std::vector<HANDLE> list_;
};

// PROC_THREAD_ATTRIBUTE_HANDLE_LIST: of all that is inheritable in this process, by whichever
// thread at this moment, the child gets these.
class AttributeList {
 public:
  bool create(std::vector<HANDLE>& handles) {
    SIZE_T size = 0;
    ::InitializeProcThreadAttributeList(nullptr, 1, 0, &size);
    memory_.resize(size);
    if (!::InitializeProcThreadAttributeList(get(), 1, 0, &size)) return false;
    created_ = true;
    return handles.empty() ||
           ::UpdateProcThreadAttribute(get(), 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, handles.data(),
                                       handles.size() * sizeof(HANDLE), nullptr, nullptr) != 0;
  }
  ~AttributeList() {
    if (created_) ::DeleteProcThreadAttributeList(get());
  }
  LPPROC_THREAD_ATTRIBUTE_LIST get() {
    return reinterpret_cast<LPPROC_THREAD_ATTRIBUTE_LIST>(memory_.data());
  }

 private:
  std::vector<std::byte> memory_;
  bool created_ = false;
};

UniqueHandle make_job() {
  UniqueHandle job = own(::CreateJobObjectW(nullptr, nullptr));
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits{};
  limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
  if (job.is_open() && !::SetInformationJobObject(native(job), JobObjectExtendedLimitInformation,
                                                  &limits, sizeof limits)) {
    return UniqueHandle();
  }
  return job;
}

}  // namespace

Result<ChildProcess> ChildProcess::start(const Options& options) {
  const std::string operation = "start " + options.program;
  RUNHV_TRY_ASSIGN(const std::wstring program, native_path(options.program, operation));
  std::wstring directory;
  if (!options.directory.empty()) directory = to_utf16(options.directory);
  UniqueHandle job;
  if (options.bound == Bound::kEndsWithUs) {
    job = make_job();
    if (!job.is_open()) return Fail{last_os_error(operation)};
  }
  Inheritable streams(options.streams);
  AttributeList attributes;
  if (!attributes.create(streams.list())) return Fail{last_os_error(operation)};
  STARTUPINFOEXW startup{};
  startup.StartupInfo.cb = sizeof startup;
  startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
  startup.StartupInfo.hStdInput = streams.stream(0);
  startup.StartupInfo.hStdOutput = streams.stream(1);
  startup.StartupInfo.hStdError = streams.stream(2);
  startup.lpAttributeList = attributes.get();
  std::wstring line = command_line(options.program, options.arguments);
  std::wstring environment = environment_block(options.environment);
  PROCESS_INFORMATION started{};
  const auto create = [&](DWORD more_flags) {
    // Suspended until it is in the job: nothing of it is outside.
    return ::CreateProcessW(program.c_str(), line.data(), nullptr, nullptr, TRUE,
                            CREATE_SUSPENDED | EXTENDED_STARTUPINFO_PRESENT |
                                CREATE_UNICODE_ENVIRONMENT | more_flags,
                            options.environment.empty() ? nullptr : environment.data(),
                            directory.empty() ? nullptr : directory.c_str(), &startup.StartupInfo,
                            &started) != 0;
  };
  const bool detached = options.bound == Bound::kDetached;
  const DWORD alone = detached ? DWORD{DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP} : 0;
  // A job that lets nobody go keeps it.
  if (!(detached && create(alone | CREATE_BREAKAWAY_FROM_JOB)) &&
      !((!detached || ::GetLastError() == ERROR_ACCESS_DENIED) && create(alone))) {
    return Fail{last_os_error(operation)};
  }
  UniqueHandle process = own(started.hProcess);
  const UniqueHandle thread = own(started.hThread);
  if ((job.is_open() && !::AssignProcessToJobObject(native(job), native(process))) ||
      ::ResumeThread(native(thread)) == static_cast<DWORD>(-1)) {
    Error error = last_os_error(operation);
    ::TerminateProcess(native(process), 1);
    return Fail{std::move(error)};
  }
  return ChildProcess(std::move(job), std::move(process));
}

int ChildProcess::exit_status() const {
  ::WaitForSingleObject(handle(), INFINITE);
  DWORD status = 0;
  ::GetExitCodeProcess(handle(), &status);
  return static_cast<int>(status);
}

}  // namespace runhv::platform
