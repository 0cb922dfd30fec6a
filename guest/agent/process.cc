#include "process.h"

#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#include "search.h"
#include "sys.h"

namespace runhv::agent {
namespace {

constexpr unsigned kMaxCapability = 63;

bool drop_bounding_set(std::uint64_t keep, Failure& failure) {
  for (unsigned capability = 0; capability <= kMaxCapability; ++capability) {
    if ((keep >> capability & 1) != 0) continue;
    const long result = sys::prctl(PR_CAPBSET_DROP, capability);
    if (result == -EINVAL) break;  // beyond what this kernel knows
    if (result < 0) return failure.set(result, "drop a capability from the bounding set");
  }
  return true;
}

bool set_capabilities(const runhv_caps& caps, Failure& failure) {
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
    const long raised = sys::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability);
    if (raised < 0) return failure.set(raised, "raise an ambient capability");
  }
  return true;
}

bool load_filter(const StartRequest& start, Failure& failure) {
  if (start.seccomp_filter.empty()) return true;
  const sock_fprog program = {
      static_cast<unsigned short>(start.seccomp_filter.size() / sizeof(sock_filter)),
      reinterpret_cast<sock_filter*>(const_cast<std::byte*>(start.seccomp_filter.data()))};
  const long result = sys::seccomp(SECCOMP_SET_MODE_FILTER, start.seccomp_flags, &program);
  return result == 0 || failure.set(result, "load the seccomp filter");
}

long write_parameter(int proc, const char* path, std::string_view value) {
  const int file = sys::openat(proc, path, O_WRONLY);
  if (file < 0) return file;
  const long result = sys::write(file, value.data(), value.size());
  sys::close(file);
  return result;
}

}  // namespace

bool make_vectors(const StartRequest& start, Vectors& out, Failure& failure) {
  const std::size_t count = start.argument_count + start.environment_count + 2;
  void* memory = sys::map(count * sizeof(char*));
  if (sys::map_failed(memory)) return failure.set(-ENOMEM, "make room for the arguments");
  out.arguments = static_cast<char**>(memory);
  out.environment = out.arguments + start.argument_count + 1;
  char** argument = out.arguments;
  char** variable = out.environment;
  return for_each(start, RUNHV_REC_ARG,
                  [&](const Record& record) {
                    *argument++ = const_cast<char*>(record.text());
                    return true;
                  }) &&
         for_each(start, RUNHV_REC_ENV, [&](const Record& record) {
           *variable++ = const_cast<char*>(record.text());
           return true;
         });
}

bool set_limits(const StartRequest& start, Failure& failure) {
  return for_each(start, RUNHV_REC_RLIMIT, [&](const Record& record) {
    runhv_rlimit limit;
    decode(record, limit);
    const std::uint64_t values[2] = {limit.soft, limit.hard};
    const long result = sys::setrlimit(limit.resource, values);
    if (result == 0) return true;
    return failure.set(result, "set resource limit ", Text<24>().add_number(limit.resource).view());
  });
}

bool set_kernel_parameters(const StartRequest& start, int proc, Failure& failure) {
  const bool set = for_each(start, RUNHV_REC_SYSCTL, [&](const Record& record) {
    SysctlRecord sysctl;
    decode(record, sysctl);
    Text<PATH_MAX> path("sys/");
    for (const char* at = sysctl.name; *at != '\0'; ++at) {
      path.add(*at == '.' ? std::string_view("/") : std::string_view(at, 1));
    }
    const long result = write_parameter(proc, path.c_str(), sysctl.value);
    return result >= 0 || failure.set(result, "set kernel parameter ", sysctl.name);
  });
  if (!set) return false;
  if (start.has_oom_score_adj) {
    Text<24> value(start.oom_score_adj < 0 ? "-" : "");
    value.add_number(static_cast<std::uint64_t>(start.oom_score_adj < 0 ? -start.oom_score_adj
                                                                        : start.oom_score_adj));
    const long result = write_parameter(proc, "self/oom_score_adj", value.view());
    if (result < 0) return failure.set(result, "set oom_score_adj");
  }
  return true;
}

bool become_user(const StartRequest& start, Failure& failure) {
  const bool no_new_privileges = (start.flags & RUNHV_START_NO_NEW_PRIVILEGES) != 0;
  if (no_new_privileges) {
    const long result = sys::prctl(PR_SET_NO_NEW_PRIVS, 1);
    if (result < 0) return failure.set(result, "set no_new_privs");
  } else if (!load_filter(start, failure)) {
    return false;
  }
  if (!drop_bounding_set(start.caps.bounding, failure)) return false;
  long result = sys::prctl(PR_SET_KEEPCAPS, 1);
  if (result < 0) return failure.set(result, "keep capabilities");
  result = sys::setgroups(start.groups.size() / sizeof(std::uint32_t),
                          reinterpret_cast<const std::uint32_t*>(start.groups.data()));
  if (result < 0) return failure.set(result, "set the additional groups");
  result = sys::setresgid(start.user.gid);
  if (result < 0) return failure.set(result, "set the group");
  result = sys::setresuid(start.user.uid);
  if (result < 0) return failure.set(result, "set the user");
  result = sys::prctl(PR_SET_KEEPCAPS, 0);
  if (result < 0) return failure.set(result, "keep no capabilities");
  if (!set_capabilities(start.caps, failure)) return false;
  return !no_new_privileges || load_filter(start, failure);
}

void run_program(const Vectors& vectors, Failure& failure) {
  const char* path = find_variable(vectors.environment, "PATH");
  const char* name = vectors.arguments[0];
  const long result = search_program(
      name, path == nullptr ? kDefaultPath : std::string_view(path), [&](const char* candidate) {
        return sys::execve(candidate, vectors.arguments, vectors.environment);
      });
  failure.set(result, "run ", name, {}, exit_status_of(result));
}

}  // namespace runhv::agent
