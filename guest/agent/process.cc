#include "process.h"

#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/sched/types.h>
#include <linux/seccomp.h>

#include "home.h"
#include "search.h"
#include "sys.h"

namespace runhv::agent {
namespace {

constexpr unsigned kMaxCapability = 63;
constexpr std::size_t kMoreBytes = 1100;  // "HOME=" and what a line of passwd holds

bool drop_bounding_set(std::uint64_t keep, Failure& failure) {
  for (unsigned capability = 0; capability <= kMaxCapability; ++capability) {
    if ((keep >> capability & 1) != 0) continue;
    const long result = sys::prctl(PR_CAPBSET_DROP, capability);
    if (result == -EINVAL) break;  // beyond what this kernel knows
    if (result < 0) return failure.set(result, "drop a capability from the bounding set");
  }
  return true;
}

bool set_capabilities(const runhv_caps& caps, std::uint64_t& refused, Failure& failure) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
  for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; ++i) {
    data[i].effective = static_cast<__u32>(caps.effective >> 32 * i);
    data[i].permitted = static_cast<__u32>(caps.permitted >> 32 * i);
    data[i].inheritable = static_cast<__u32>(caps.inheritable >> 32 * i);
  }
  const long result = sys::capset(&header, data);
  if (result < 0) return failure.set(result, "set capabilities");
  for (unsigned capability = 0; capability <= kMaxCapability; ++capability) {
    if ((caps.ambient >> capability & 1) == 0) continue;
    // Not permitted, not inheritable, or beyond what this kernel knows.
    const long raised = sys::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability);
    if (raised < 0) refused |= std::uint64_t{1} << capability;
  }
  return true;
}

bool load_filter(const ProcessRequest& process, Failure& failure) {
  if (process.seccomp_filter.empty()) return true;
  const sock_fprog program = {
      static_cast<unsigned short>(process.seccomp_filter.size() / sizeof(sock_filter)),
      reinterpret_cast<sock_filter*>(const_cast<std::byte*>(process.seccomp_filter.data()))};
  const long result = sys::seccomp(SECCOMP_SET_MODE_FILTER, process.seccomp_flags, &program);
  return result == 0 || failure.set(result, "load the seccomp filter");
}

long write_parameter(int proc, const char* path, std::string_view value) {
  const int file = sys::openat(proc, path, O_WRONLY);
  if (file < 0) return file;
  const long result = sys::write(file, value.data(), value.size());
  sys::close(file);
  return result;
}

// A line of time_namespaces(7).
void add_offset(Text<128>& text, std::string_view clock, std::int64_t seconds,
                std::uint32_t nanoseconds) {
  text.add(clock).add(seconds < 0 ? "-" : "");
  text.add_number(seconds < 0 ? -static_cast<std::uint64_t>(seconds)
                              : static_cast<std::uint64_t>(seconds));
  text.add(" ").add_number(nanoseconds).add("\n");
}

bool set_groups(const ProcessRequest& process, Failure& failure) {
  const long result = sys::setgroups(process.groups.size() / sizeof(std::uint32_t),
                                     reinterpret_cast<const std::uint32_t*>(process.groups.data()));
  return result == 0 || failure.set(result, "set the additional groups");
}

// Calls `set(limit)`, which returns a negative errno where it fails, for each limit.
template <typename Set>
bool for_each_limit(const ProcessRequest& process, Failure& failure, Set set) {
  return for_each(process.records, RUNHV_REC_RLIMIT, [&](const Record& record) {
    runhv_rlimit limit;
    decode(record, limit);
    const long result = set(limit);
    if (result == 0) return true;
    return failure.set(result, "set resource limit ", Text<24>().add_number(limit.resource).view());
  });
}

template <typename Try>
long search(const Vectors& vectors, Try try_path) {
  const char* path = find_variable(vectors.environment, "PATH");
  return search_program(vectors.arguments[0],
                        path == nullptr ? kDefaultPath : std::string_view(path), try_path);
}

}  // namespace

bool make_vectors(const ProcessRequest& process, Vectors& out, Failure& failure) {
  const std::size_t count = process.argument_count + process.environment_count + 3;
  out.size_bytes = count * sizeof(char*) + kMoreBytes;
  void* memory = sys::map(out.size_bytes);
  if (sys::map_failed(memory)) return failure.set(-ENOMEM, "make room for the arguments");
  out.arguments = static_cast<char**>(memory);
  out.more = reinterpret_cast<char*>(out.arguments + count);
  out.environment = out.arguments + process.argument_count + 1;
  char** argument = out.arguments;
  char** variable = out.environment;
  return for_each(process.records, RUNHV_REC_ARG,
                  [&](const Record& record) {
                    *argument++ = const_cast<char*>(record.text());
                    return true;
                  }) &&
         for_each(process.records, RUNHV_REC_ENV, [&](const Record& record) {
           *variable++ = const_cast<char*>(record.text());
           return true;
         });
}

void add_home(const ProcessRequest& process, Vectors& vectors) {
  const char* there = find_variable(vectors.environment, "HOME");
  if (there != nullptr && *there != '\0') return;
  HomeSearch search(process.user.uid);
  // A file of the image, which may be anything: nothing is waited for.
  const int file = sys::open("/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY);
  char part[512];
  for (long count = 1; file >= 0 && count > 0;) {
    count = sys::read(file, part, sizeof part);
    if (count > 0 && !search.take({part, static_cast<std::size_t>(count)})) break;
  }
  if (file >= 0) sys::close(file);
  Text<kMoreBytes> text("HOME=");
  const std::string_view home = search.end();
  text.add(home.empty() ? "/" : home);
  memcpy(vectors.more, text.c_str(), text.size() + 1);
  char** variable = vectors.environment;
  while (*variable != nullptr && *variable + 5 != there) ++variable;
  *variable = vectors.more;
}

bool set_limits(const ProcessRequest& process, Failure& failure) {
  return for_each_limit(process, failure, [](const runhv_rlimit& limit) {
    const std::uint64_t values[2] = {limit.soft, limit.hard};
    return sys::setrlimit(limit.resource, values);
  });
}

bool raise_limits(const ProcessRequest& process, Failure& failure) {
  return for_each_limit(process, failure, [](const runhv_rlimit& limit) {
    std::uint64_t values[2];
    const long result = sys::getrlimit(limit.resource, values);
    if (result < 0 || values[1] >= limit.hard) return result;
    values[1] = limit.hard;
    return sys::setrlimit(limit.resource, values);
  });
}

bool set_scheduling(const ProcessRequest& process, Failure& failure) {
  long result = 0;
  if (process.personality != 0) result = sys::personality(process.personality);
  if (result < 0) return failure.set(result, "set the personality");
  if (process.cpu_affinity != 0) result = sys::sched_setaffinity(process.cpu_affinity);
  if (result < 0) return failure.set(result, "choose the processors");
  if (process.io_priority != 0) result = sys::ioprio_set(process.io_priority);
  return result == 0 || failure.set(result, "set the priority of I/O");
}

bool set_scheduler(const ProcessRequest& process, int pid, Failure& failure) {
  if (!process.has_scheduler) return true;
  const runhv_scheduler& scheduler = process.scheduler;
  sched_attr attributes = {};
  attributes.size = SCHED_ATTR_SIZE_VER0;
  attributes.sched_policy = scheduler.policy;
  attributes.sched_flags = scheduler.flags;
  attributes.sched_nice = scheduler.nice;
  attributes.sched_priority = scheduler.priority;
  attributes.sched_runtime = scheduler.runtime;
  attributes.sched_deadline = scheduler.deadline;
  attributes.sched_period = scheduler.period;
  const long result = sys::sched_setattr(pid, &attributes);
  return result == 0 || failure.set(result, "set the scheduler");
}

bool make_time_namespace(const runhv_time_offsets& offsets, bool has_offsets, int proc,
                         Failure& failure) {
  long result = sys::unshare(CLONE_NEWTIME);
  if (result < 0) return failure.set(result, "make the time namespace");
  if (!has_offsets) return true;
  Text<128> text;
  add_offset(text, "monotonic ", offsets.monotonic_seconds, offsets.monotonic_nanoseconds);
  add_offset(text, "boottime ", offsets.boottime_seconds, offsets.boottime_nanoseconds);
  result = write_parameter(proc, "self/timens_offsets", text.view());
  return result >= 0 || failure.set(result, "set the offsets of the time namespace");
}

bool set_kernel_parameters(const ContainerRequest& container, int proc, Failure& failure) {
  return for_each(container.records, RUNHV_REC_SYSCTL, [&](const Record& record) {
    SysctlRecord sysctl;
    decode(record, sysctl);
    Text<PATH_MAX> path("sys/");
    for (const char* at = sysctl.name; *at != '\0'; ++at) {
      path.add(*at == '.'   ? std::string_view("/")
               : *at == '/' ? std::string_view(".")
                            : std::string_view(at, 1));
    }
    const long result = write_parameter(proc, path.c_str(), sysctl.value);
    return result >= 0 || failure.set(result, "set kernel parameter ", sysctl.name);
  });
}

bool set_oom_score(const ProcessRequest& process, int proc, Failure& failure) {
  if (!process.has_oom_score_adj) return true;
  const std::int32_t score = process.oom_score_adj;
  Text<24> value(score < 0 ? "-" : "");
  value.add_number(static_cast<std::uint64_t>(score < 0 ? -score : score));
  const long result = write_parameter(proc, "self/oom_score_adj", value.view());
  return result >= 0 || failure.set(result, "set oom_score_adj");
}

bool find_program(const ProcessRequest& process, const Vectors& vectors, Failure& failure) {
  // With the user's own rights: the kernel takes those that go past them away with fsuid 0
  // (capabilities(7)).
  if (!set_groups(process, failure)) return false;
  sys::setfsgid(process.user.gid);
  sys::setfsuid(process.user.uid);
  const long result = search(vectors, [](const char* candidate) {
    struct stat status;
    const long found = sys::fstatat(AT_FDCWD, candidate, &status, 0);
    if (found < 0) return found;
    if (!S_ISREG(status.st_mode)) return long{-EACCES};
    return sys::faccessat2(AT_FDCWD, candidate, 1 /* X_OK */, AT_EACCESS);
  });
  sys::setfsuid(0);
  sys::setfsgid(0);
  return result == 0 ||
         failure.set(result, "run ", vectors.arguments[0], {}, exit_status_of(result));
}

bool become_user(const ProcessRequest& process, std::uint64_t& refused, Failure& failure) {
  const bool no_new_privileges = (process.flags & RUNHV_PROCESS_NO_NEW_PRIVILEGES) != 0;
  if (no_new_privileges) {
    const long result = sys::prctl(PR_SET_NO_NEW_PRIVS, 1);
    if (result < 0) return failure.set(result, "set no_new_privs");
  } else if (!load_filter(process, failure)) {
    return false;
  }
  if (!drop_bounding_set(process.caps.bounding, failure)) return false;
  long result = sys::prctl(PR_SET_KEEPCAPS, 1);
  if (result < 0) return failure.set(result, "keep capabilities");
  if (!set_groups(process, failure)) return false;
  result = sys::setresgid(process.user.gid);
  if (result < 0) return failure.set(result, "set the group");
  result = sys::setresuid(process.user.uid);
  if (result < 0) return failure.set(result, "set the user");
  result = sys::prctl(PR_SET_KEEPCAPS, 0);
  if (result < 0) return failure.set(result, "keep no capabilities");
  if (!set_capabilities(process.caps, refused, failure)) return false;
  return !no_new_privileges || load_filter(process, failure);
}

void run_program(const Vectors& vectors, int opened, Failure& failure) {
  if (opened >= 0) {
    const long result = sys::execveat(opened, vectors.arguments, vectors.environment);
    failure.set(result, "run the agent's own program");
    return;
  }
  const long result = search(vectors, [&](const char* candidate) {
    return sys::execve(candidate, vectors.arguments, vectors.environment);
  });
  failure.set(result, "run ", vectors.arguments[0], {}, exit_status_of(result));
}

}  // namespace runhv::agent
