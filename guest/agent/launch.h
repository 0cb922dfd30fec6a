// From a request to a process of the container, in two steps: prepared, with all done but execve,
// and executed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "failure.h"
#include "process.h"
#include "request.h"
#include "streams.h"
#include "users.h"

namespace runhv::agent {

// What the child works on. It runs in the agent's memory until its execve, so that nothing is
// copied and a failure needs no message; the memory is the launch's own, since the agent goes on
// meanwhile.
struct Launch {
  // Set by the agent before the child exists.
  ProcessRequest process;
  std::uint32_t number = 0;                     // the container's
  const ContainerRequest* container = nullptr;  // of its first process, which makes it
  int joined = -1;               // a pidfd of whose namespaces it joins; negative = nobody's
  std::uint32_t namespaces = 0;  // the container's own
  const Users* users = nullptr;  // of its user namespace; null: it has none
  std::uint32_t joined_namespaces = 0;
  bool has_time_offsets = false;
  runhv_time_offsets time_offsets = {};  // of that for time, where it is one of them
  bool in_cgroup = false;                // the container has one
  int device_filter = -1;                // of the container that is made; negative = none
  const Streams* streams = nullptr;
  Vectors vectors;
  bool stops = false;  // between prepared and executed
  int report = -1;     // the child's end of a pipe that closes at execve or with the child; with
                       // `stops` a byte says that it is prepared

  // Set by the child.
  int archiver = -1;  // the agent's own program, which the container does not see
  Failure failure;
  std::uint64_t refused_capabilities = 0;  // ambient ones
  int terminal = -1;                       // its descriptor of the terminal's other side
  bool at_exec = false;                    // everything but the program has been done

  // Of a user namespace: set by who makes it.
  int child = -1;
  int proc = -1;  // a /proc that it has from there

  // Set by the agent, which wakes the child.
  std::uint32_t has_users = 0;  // 1: its user namespace is made
  std::uint32_t go = 0;

  std::size_t memory_bytes = 0;  // the launch's, its stack and the records behind it
};

// A launch with a copy of `records` behind it, not yet parsed; null where there is no memory.
Launch* make_launch(std::span<const std::byte> records, std::span<const std::byte>& copy);
void free_launch(Launch* launch);

// Starts the child and waits until its program is in place or it has failed. Not with `stops`, nor
// where it makes a user namespace.
// Returns its pid, or -1 with launch.failure.
int execute_at_once(Launch& launch);

// Starts the child. `report` becomes the agent's end of the pipe. Returns its pid, or -1 with
// launch.failure.
int prepare(Launch& launch, int& report);
// After its byte has come.
void execute(Launch& launch);

// After the pipe has closed: whether execve was reached and did not fail. What is not so is in
// launch.failure.
bool executed(Launch& launch);

}  // namespace runhv::agent
