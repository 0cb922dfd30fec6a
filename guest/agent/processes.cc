#include "processes.h"

#include <new>

#include "sys.h"

namespace runhv::agent {

Process* Processes::find(std::uint32_t id) {
  for (Process* process : all()) {
    if (process->state != Process::State::kFree && process->id == id) return process;
  }
  return nullptr;
}

Process* Processes::add(std::uint32_t id) {
  Process* process = nullptr;
  for (Process* each : all()) {
    if (each->state == Process::State::kFree) process = each;
  }
  if (process == nullptr) {
    if (count_ == RUNHV_MAX_PROCESSES) return nullptr;
    void* memory = sys::map(sizeof(Process));
    if (sys::map_failed(memory)) return nullptr;
    process = new (memory) Process;
    process->index = static_cast<std::uint32_t>(count_);
    table_[count_++] = process;
  }
  process->id = id;
  process->execute = process->archives = process->reaped = false;
  process->signals = 0;
  process->pid = -1;
  return process;
}

}  // namespace runhv::agent
