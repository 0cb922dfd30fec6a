// Versions and names of runhv.h: what needs no VM.
#include "base/error.h"
#include "runhv/runhv.h"

std::uint32_t runhv_abi_version(void) { return RUNHV_ABI_VERSION; }

const char* runhv_version(void) { return RUNHV_VERSION; }

const char* runhv_code_name(std::int32_t code) {
  if (code == RUNHV_OK) return "ok";
  return runhv::code_name(static_cast<runhv::Code>(code)).data();
}

const char* runhv_stage_name(std::int32_t stage) {
  static constexpr const char* kNames[RUNHV_STAGE_COUNT] = {
      "spawn", "partition",         "memory",       "kernel",
      "agent", "first_instruction", "first_output", "exit"};
  return stage >= 0 && stage < RUNHV_STAGE_COUNT ? kNames[stage] : "unknown";
}
