// A container's cgroup as a scope of systemd's (systemd.scope(5)), as --systemd-cgroup asks: its
// manager alone may make cgroups in its tree, and is asked over D-Bus
// (org.freedesktop.systemd1(5)).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "oci/host_spec.h"

namespace runhv::oci {

struct Scope {
  std::string unit;   // "libpod-1234.scope"
  std::string slice;  // "machine.slice"
};

// sd_booted(3).
bool systemd_runs();

// `cgroups_path`: "slice:prefix:name"; empty = the place where runc puts a container `id`.
// `is_root`: the manager is the system's, not a user's.
Result<Scope> parse_scope(const std::string& cgroups_path, const std::string& id, bool is_root);

// Where below its manager's cgroup: "/a.slice/a-b.slice/x.scope" of a scope of slice a-b.slice.
Result<std::string> scope_path(const Scope& scope);

// The bits of "0-3,7", the lowest first; empty where it is no such list.
std::vector<std::uint8_t> bits_of_list(const std::string& list);

class Systemd {
 public:
  // The system's manager, and that of a user where he is not root.
  static Result<Systemd> connect();

  Systemd(Systemd&& other) noexcept;
  Systemd& operator=(Systemd&& other) noexcept;
  ~Systemd();

  // Its own cgroup: empty, or "/user.slice/…".
  Result<std::string> cgroup();
  // That of a scope, from the hierarchy's root; empty where it does not run.
  Result<std::string> cgroup(const std::string& unit);
  // With process `pid` in it, and the cgroup delegated to the caller (systemd.resource-control(5)).
  Result<void> start(const Scope& scope, std::uint64_t pid, const Resources& resources,
                     std::uint64_t guest_memory_bytes);
  Result<void> change(const std::string& unit, const Resources& resources,
                      std::uint64_t guest_memory_bytes);
  // A scope that is not there has stopped.
  Result<void> stop(const std::string& unit);

 private:
  class Impl;
  explicit Systemd(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace runhv::oci
