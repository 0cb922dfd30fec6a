// The command line of runhv-vmm. Written by programs (runhv, the Java side), not by people.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace runhv::vmm_main {

enum class TimingsFormat { kNone, kTable, kJson };

struct VmmOptions {
  std::string id;
  std::string bundle;
  std::string root;  // of containers; empty = the user's own
  std::string join;  // the container whose VM this one runs in; empty = its own. With `created`
  // Of the user namespace that the bundle names by a path, as the kernel writes them.
  std::optional<std::string> uid_map;
  std::optional<std::string> gid_map;
  std::string engine = "auto";
  std::string kernel;  // empty = the one beside the program
  std::string initrd;
  std::string modules;  // of `kernel`; empty = none
  TimingsFormat timings = TimingsFormat::kNone;
  bool debug = false;
  bool remove_bundle = false;
  bool created = false;             // stops before the first program, until a client says START
  bool own_network = false;         // the bundle's new network namespace is this process's own
  bool terminal = false;            // stdin is the first process's terminal: set raw, and restored
  bool keep = false;                // the container's folder outlives this process
  std::uint64_t preserve_fds = 0;   // so many of ours, from 3 on, are the first process's too
  std::uint64_t end_with = 0;       // a process whose end is ours too; 0 = none
  std::uint64_t spawned_at_ns = 0;  // 0 = when the system started this process
};

Result<VmmOptions> parse_vmm_options(std::span<const std::string_view> arguments);

// How we and the launcher come together: found whatever is wrong with the other options, which it
// is told there.
struct LauncherOptions {
  std::optional<int> control_fd;  // a connected socket that we inherit
  int preserve_fds = 0;           // VmmOptions::preserve_fds
  std::optional<int> lock_fd;     // of the container's folder, whose name the launcher has taken
  std::optional<int> lease_fd;    // by which the store keeps the bundle's files until all are open
  std::string control_connect;    // a socket that the launcher listens on; empty = none
  std::string control_listen;     // a folder that we make, and listen in; empty = none
};
LauncherOptions find_launcher_options(std::span<const std::string_view> arguments);

}  // namespace runhv::vmm_main
