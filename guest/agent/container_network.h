// The first container's network, which all of the guest share that have none of their own: its
// interfaces while it runs, and the names that the host's resolver knows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "failure.h"
#include "resolver.h"
#include "runhv_agent.h"

namespace runhv::agent {

class ContainerNetwork {
 public:
  // `pid`: of a process whose network namespace it is; 0 = the agent's. Without a resolver a
  // container runs all the same, but finds fewer names.
  void open_resolver(const runhv_resolver& resolver, int pid, Failure& failure);
  // What NETWORK says. The container runs, whatever becomes of its network.
  void change(std::span<const std::byte> records, int pid, Failure& failure);

  // Epoll tokens are first_token + 0 to Resolver::kTokens - 1, also of a resolver that comes later.
  void watch(int epoll, std::uint32_t first_token);
  // For a token that epoll gave, less first_token.
  void on_event(std::uint32_t token) { resolver_->on_event(token); }
  bool busy() const { return resolver_ != nullptr && resolver_->busy(); }
  void go_on();

 private:
  void open_resolver_here(const runhv_resolver& resolver, Failure& failure);

  Resolver* resolver_ = nullptr;  // where the container has one
  int epoll_ = -1;
  std::uint32_t first_token_ = 0;
};

}  // namespace runhv::agent
