// A process of the container: what it may do, who it is, and its program.
#pragma once

#include "failure.h"
#include "request.h"

namespace runhv::agent {

// Argument and environment vectors, NULL-terminated, in memory of their own. The environment has
// room for one more.
struct Vectors {
  char** arguments = nullptr;
  char** environment = nullptr;
  char* more = nullptr;        // where its text goes
  std::size_t size_bytes = 0;  // of that memory
};
bool make_vectors(const ProcessRequest& process, Vectors& out, Failure& failure);

// Where the environment has no HOME, as other runtimes: of the user's line in the container's
// /etc/passwd, else the root.
void add_home(const ProcessRequest& process, Vectors& vectors);

bool set_limits(const ProcessRequest& process, Failure& failure);
// The hard limits are at least those of the process, which may come to be of a user namespace that
// can only lower them.
bool raise_limits(const ProcessRequest& process, Failure& failure);
// Priority of I/O, processors, personality: what is inherited as well.
bool set_scheduling(const ProcessRequest& process, Failure& failure);
// Of process `pid`; 0 = the caller. A policy may be kept from children, or keep it from having any.
bool set_scheduler(const ProcessRequest& process, int pid, Failure& failure);
// `proc`: a /proc that no link of the container's leads out of.
bool set_kernel_parameters(const ContainerRequest& container, int proc, Failure& failure);
// A time namespace, for the program from its execve on.
bool make_time_namespace(const runhv_time_offsets& offsets, bool has_offsets, int proc,
                         Failure& failure);
bool set_oom_score(const ProcessRequest& process, int proc, Failure& failure);

// Whether the program is there and the process's user may execute it, as far as that can be told
// before become_user.
bool find_program(const ProcessRequest& process, const Vectors& vectors, Failure& failure);

// Seccomp, identity, capabilities, in the order of other runtimes: a filter without
// no_new_privileges needs CAP_SYS_ADMIN, so it comes before the capabilities go; with it, last.
// `refused`: the ambient capabilities that could not be raised, which is no failure.
bool become_user(const ProcessRequest& process, std::uint64_t& refused, Failure& failure);

// Returns only when the program cannot be run. `opened`: it, in place of the one that the arguments
// name; negative = none.
void run_program(const Vectors& vectors, int opened, Failure& failure);

}  // namespace runhv::agent
