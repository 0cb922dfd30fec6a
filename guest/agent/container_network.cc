#include "container_network.h"

#include <sched.h>
#include <sys/socket.h>

#include <new>

#include "containers.h"
#include "network.h"
#include "request.h"
#include "sys.h"

namespace runhv::agent {
namespace {

// Does `act` in the network namespace of process `pid`.
template <typename Act>
void do_there(int pid, Failure& failure, Act act) {
  const int there = sys::pidfd_open(pid);
  // A pidfd of the agent's own would lead to where it is by then.
  const long proc = mount_proc();
  const int here = proc < 0 ? static_cast<int>(proc) : sys::open("/proc/self/ns/net", O_RDONLY);
  if (here < 0) {
    failure.set(here, "open the agent's network namespace");
  } else if (const long result = there < 0 ? there : sys::setns(there, CLONE_NEWNET); result < 0) {
    failure.set(result, "enter the container's network namespace");
  } else {
    act();
    const long back = sys::setns(here, CLONE_NEWNET);
    if (back < 0) failure.set(back, "leave the container's network namespace");
  }
  if (there >= 0) sys::close(there);
  if (here >= 0) sys::close(here);
}

// Of a container whose user namespace owns its network.
void configure_there(int pid, std::span<const std::byte> records, Failure& failure) {
  int socket = -1;
  do_there(pid, failure, [&] { socket = sys::socket(AF_NETLINK, SOCK_RAW); });
  if (!failure.failed && socket < 0) failure.set(socket, "open a socket of rtnetlink");
  if (!failure.failed) configure_network_of(pid, socket, records, failure);
  if (socket >= 0) sys::close(socket);
}

}  // namespace

void ContainerNetwork::open_resolver_here(const runhv_resolver& resolver, Failure& failure) {
  void* const memory = resolver_ == nullptr ? sys::map(sizeof(Resolver)) : nullptr;
  if (memory == nullptr || sys::map_failed(memory)) return;
  resolver_ = new (memory) Resolver;
  resolver_->open(resolver, failure);
  if (epoll_ >= 0) resolver_->watch(epoll_, first_token_);
}

void ContainerNetwork::open_resolver(const runhv_resolver& resolver, int pid, Failure& failure) {
  if (pid == 0) return open_resolver_here(resolver, failure);
  do_there(pid, failure, [&] { open_resolver_here(resolver, failure); });
}

void ContainerNetwork::change(std::span<const std::byte> records, int pid, Failure& failure) {
  NetworkRequest request;
  Text<512> error;
  if (!parse(records, request, error)) {
    failure.set(-EINVAL, error.view());
  } else if (pid != 0) {
    configure_there(pid, records, failure);
  } else {
    configure_network(records, failure);
  }
  if (!failure.failed && request.has_resolver) open_resolver(request.resolver, pid, failure);
}

void ContainerNetwork::watch(int epoll, std::uint32_t first_token) {
  epoll_ = epoll;
  first_token_ = first_token;
  if (resolver_ != nullptr) resolver_->watch(epoll, first_token);
}

void ContainerNetwork::go_on() {
  if (resolver_ != nullptr) resolver_->go_on();
}

}  // namespace runhv::agent
