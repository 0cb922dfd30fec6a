// The container's first process: what it may do, who it is, and its program.
#pragma once

#include "failure.h"
#include "start.h"

namespace runhv::agent {

// Argument and environment vectors, NULL-terminated, in memory of their own.
struct Vectors {
  char** arguments = nullptr;
  char** environment = nullptr;
};
bool make_vectors(const StartRequest& start, Vectors& out, Failure& failure);

bool set_limits(const StartRequest& start, Failure& failure);
bool set_kernel_parameters(const StartRequest& start, int proc, Failure& failure);

// Seccomp, identity, capabilities, in the order of other runtimes: a filter without
// no_new_privileges needs CAP_SYS_ADMIN, so it comes before the capabilities go; with it, last.
bool become_user(const StartRequest& start, Failure& failure);

// Returns only when the program cannot be run.
void run_program(const Vectors& vectors, Failure& failure);

}  // namespace runhv::agent
