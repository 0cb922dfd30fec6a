// The command line of runhv-vmm. Written by programs (runhv, the Java side), not by people.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace runhv {

enum class TimingsFormat { kNone, kTable, kJson };

struct VmmOptions {
  std::string id;
  std::string bundle;
  std::string engine = "auto";
  std::string kernel;  // empty = the one beside the program
  std::string initrd;
  std::string modules;  // of `kernel`; empty = none
  TimingsFormat timings = TimingsFormat::kNone;
  std::string timings_file;  // with kJson; empty = stderr
  bool debug = false;
  bool remove_bundle = false;
  std::uint64_t end_with = 0;       // a process whose end is ours too; 0 = none
  std::uint64_t spawned_at_ns = 0;  // 0 = when the system started this process
};

Result<VmmOptions> parse_vmm_options(std::span<const std::string_view> arguments);

}  // namespace runhv
