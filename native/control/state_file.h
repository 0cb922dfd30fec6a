// state.json of a container's folder: what is known of it without asking its process.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace runhv::control {

inline constexpr std::uint64_t kMaxStateBytes = 16u << 20;

struct StoredEnd {
  std::string kind;        // "exited", "signaled", "not_started", "failed"
  std::int32_t value = 0;  // as runhv_exit_status; 125 where the VM failed on its way
  std::optional<Error> reason;
};

// As the kernel writes the maps of a user namespace; empty where it is everybody's.
struct StoredUsers {
  std::string uid_map;
  std::string gid_map;
};

// Times are nanoseconds since 1970; 0 = not yet.
struct StoredState {
  std::string id;
  std::string bundle;
  std::string rootfs;  // the folder of its root; empty where that is an image
  std::uint64_t pid = 0;
  std::string status;  // "creating", "created", "running", "paused", "stopped"
  std::uint64_t created_ns = 0;
  std::uint64_t started_ns = 0;
  std::uint64_t ended_ns = 0;
  bool ephemeral = true;             // the folder goes with its process
  std::vector<std::string> cgroups;  // their folders, which were made for this container
  std::string scope;                 // the unit of systemd's that they are of; empty = none
  std::optional<StoredUsers> users;  // of a user namespace that config.json names by its path
  std::string image;                 // empty = not known
  std::string pod;                   // the container whose VM it is in; empty = its own
  std::vector<std::string> command;
  std::optional<StoredEnd> end;
  std::map<std::string, std::string> annotations;
};

// One line, ended. What is no UTF-8 is escaped.
std::string state_json(const StoredState& state);

// `operation` is that of every error.
Result<StoredState> parse_state(std::string_view json, const std::string& operation);

// The state of the OCI runtime specification ("State"), one object, with what runc adds. `owner`:
// the name of its user; empty where nobody asks.
std::string oci_state_json(const StoredState& state, const std::string& owner = "");
// The same without spaces and ends of lines.
std::string oci_state_line(const StoredState& state, const std::string& owner);

// "2026-11-28T07:53:33.123456789Z" (RFC 3339).
std::string rfc3339(std::uint64_t since_1970_ns);

}  // namespace runhv::control
