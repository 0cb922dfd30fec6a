// The processes that the host has asked for: of containers, and those that join them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "launch.h"
#include "runhv_agent.h"
#include "streams.h"

namespace runhv::agent {

// From PREPARE to the end of its streams.
struct Process {
  enum class State : std::uint8_t {
    kFree,
    kPreparing,  // the child exists
    kPrepared,   // it waits for EXECUTE
    kExecuting,
    kRunning,
    kOver  // FAILED or EXITED was sent; its output may be on its way
  };
  State state = State::kFree;
  bool execute = false;   // EXECUTE has come
  bool archives = false;  // it is in the agent's pid namespace
  bool reaped = false;    // with `status`, before its launch was over
  int status = 0;
  int pid = -1;
  int report = -1;
  std::uint32_t index = 0;  // in the agent's table
  std::uint32_t id = 0;
  std::uint32_t container = 0;
  std::uint64_t signals = 0;  // kept until it runs; bit n - 1
  Launch* launch = nullptr;
  Streams streams;

  bool is_launching() const {
    return state == State::kPreparing || state == State::kPrepared || state == State::kExecuting;
  }
  bool is_alive() const { return is_launching() || state == State::kRunning; }
  bool is_first() const { return id == container; }
  bool is_archiver_of(std::uint32_t number) const {
    return archives && container == number && is_alive() && !reaped;
  }
};

class Processes {
 public:
  std::span<Process*> all() { return {table_, count_}; }
  Process& at(std::uint32_t index) { return *table_[index]; }
  Process* find(std::uint32_t id);
  // Null where there is no room.
  Process* add(std::uint32_t id);

 private:
  Process* table_[RUNHV_MAX_PROCESSES] = {};
  std::size_t count_ = 0;  // of them, from the front; they are used again
};

}  // namespace runhv::agent
