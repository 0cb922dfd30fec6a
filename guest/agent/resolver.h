// Names by a resolver on the host (guest/proto/README.md, "Names"): who speaks to its address comes
// out at a port of the agent's, which passes on to the host what is said.
#pragma once

#include <cstddef>
#include <cstdint>

#include "failure.h"
#include "runhv_agent.h"
#include "streams.h"

namespace runhv::agent {

class Resolver {
 public:
  static constexpr unsigned kStreams = 16;  // connections at one time; more are closed
  static constexpr std::uint32_t kTokens = 2 + kStreams * Streams::kLanes;

  // Once; before the first program of the container runs.
  bool open(const runhv_resolver& resolver, Failure& failure);
  // Epoll tokens are first_token + 0 to kTokens - 1.
  void watch(int epoll, std::uint32_t first_token);

  // For a token that epoll gave, less first_token.
  void on_event(std::uint32_t token);
  // True when something was left to move, so that nothing else starves; then go_on().
  bool busy() const;
  void go_on();

 private:
  // A query on its way: its answer goes to whoever asked, under the number that was its own.
  struct Query {
    std::uint32_t address;  // in network order, as `port`
    std::uint16_t port;
    std::uint16_t own_number;
    std::uint16_t number;
    bool waits;
  };
  static constexpr std::size_t kQueries = 64;  // at one time; the oldest is forgotten
  static constexpr std::size_t kFrameBytes = 2 + RUNHV_MAX_RESOLVER_DATAGRAM;

  void move_datagrams();
  bool move_queries();
  bool move_answers();
  bool take_query();
  void give_answers();
  void accept();
  void close_datagrams();

  int datagrams_ = -1;   // UDP, of the guest
  int listener_ = -1;    // TCP, of the guest
  int connection_ = -1;  // vsock, for the datagrams
  int epoll_ = -1;
  std::uint32_t first_token_ = 0;
  bool busy_ = false;
  std::uint16_t next_number_ = 0;
  Query queries_[kQueries] = {};
  std::byte outgoing_[kFrameBytes];  // to the host
  std::size_t first_ = 0, last_ = 0;
  std::byte incoming_[kFrameBytes];
  std::size_t have_ = 0;
  Streams streams_[kStreams];
};

}  // namespace runhv::agent
