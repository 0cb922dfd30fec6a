// The container's user namespace (user_namespaces(7)): its maps, and who somebody in it is outside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "failure.h"
#include "runhv_agent.h"

namespace runhv::agent {

// A copy of a map, for processes that join later.
struct IdMap {
  std::size_t count = 0;
  runhv_id_range ranges[RUNHV_MAX_ID_RANGES];

  void set(std::span<const std::byte> records);
  // Whom `id` of the namespace is outside of it; `id` itself where it has none, or without ranges.
  std::uint32_t outside(std::uint32_t id) const;
};

struct Users {
  IdMap uids;
  IdMap gids;
};

// Writes the maps of the user namespace that process `pid` has been made in.
// `proc`: a /proc of the caller's pids. REQUIRES: the caller may do all in the namespace above.
bool write_maps(const Users& users, int pid, int proc, Failure& failure);

// Root of the namespace that the caller has come into, where nobody has named him yet.
bool become_root(Failure& failure);

}  // namespace runhv::agent
