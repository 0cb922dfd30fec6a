// A container in another container's VM: this process stands for it (its pid, its folder, its
// control socket), and asks the VMM of the pod for what is done in the guest
// (docs/adr/0020-a-pod-is-one-machine.md). Has what the Vmm asks of container::Container.
//
// Where it is in a network namespace that is not the pod's, the container has the interfaces of
// that one: this process takes them, since the pod's VMM has given up the right to enter a
// namespace, and gives them back at its end (docs/adr/0033-a-network-of-its-own-in-a-pod.md).
//
// Threads: the loop's. A request waits for the pod's VMM, ten seconds at most.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/conversions.h"
#include "base/result.h"
#include "container/container.h"
#include "control/client.h"
#include "control/frame.h"
#include "platform/event_loop.h"
#include "platform/local_socket.h"
#include "platform/network_namespace.h"

namespace runhv::vmm_main {

struct MemberConfig {
  std::string id;
  std::string bundle;                                  // its folder
  std::string pod;                                     // the container whose VM it joins
  std::string root;                                    // of both
  std::vector<container::HostDescriptor> descriptors;  // of its first process: 3, 4, …
};

class Member {
 public:
  // `loop` and `events` outlive it; no event comes from inside a call. kConflict where the pod does
  // not run.
  static Result<std::unique_ptr<Member>> create(platform::EventLoop& loop, MemberConfig config,
                                                api::AbiEvents& events);
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  // Nothing is done in the guest: the container is made by start().
  Result<void> boot();
  // This process's stdin, stdout and stderr become the container's, and are given up where they are
  // no terminal.
  Result<void> start();

  // As Container's. Before start() SIGKILL, SIGINT and SIGTERM end it, and others are kept.
  Result<void> signal(container::ProcessNumber process, int signal);
  Result<void> stop(int signal, std::uint32_t grace_ms);
  Result<container::ProcessNumber> start_process(container::ProcessConfig config);
  Result<void> resize(container::ProcessNumber process, std::uint16_t columns, std::uint16_t rows);
  // Of the VM, which is the pod's.
  Result<runhv_statistics> statistics();
  // Its processes, in their cgroup in the guest. kUnsupported where it has none.
  Result<void> pause();
  Result<void> resume();
  Result<void> update(container::ProcessNumber which, std::string_view json,
                      container::UpdateDone done);
  // kUnsupported: another process has the stream.
  Result<void> attach(container::ProcessNumber, int, const std::optional<platform::Stream>&);
  Result<container::ProcessNumber> join(const container::JoinConfig&);

  const container::Bundle& bundle() const { return bundle_; }
  container::ContainerState state() const;

 private:
  Member(platform::EventLoop& loop, MemberConfig config, container::Bundle bundle,
         control::Client client, platform::LocalConnection connection, api::AbiEvents& events);
  Result<std::optional<platform::TakenNetwork>> take_network() const;
  Result<runhv_process> join_pod();
  Result<void> say_hello();
  void wait_for_events();
  void read_events();
  void take(const runhv_event& event);
  void end(runhv_event event);
  void end_killed(int signal);
  void tell_later(const runhv_event& event);
  void tell();
  Result<void> check_runs(const char* verb) const;
  Result<void> freeze(bool frozen);
  Result<runhv_process> number_of(container::ProcessNumber process) const;
  Result<std::vector<std::byte>> ask(std::uint32_t type, std::span<const std::byte> payload);

  MemberConfig config_;
  api::AbiEvents& events_;
  const container::Bundle bundle_;
  container::ContainerState state_;
  control::Client client_;                // for requests; what it began ends with it
  platform::LocalConnection connection_;  // for events
  control::FrameReader reader_;
  std::string pod_network_;                        // the pod's network namespace, a file
  std::optional<platform::TakenNetwork> network_;  // of its own; the pod's VMM has the taps
  std::optional<runhv_process> first_;             // its first process, once it was started
  std::set<runhv_process> others_;
  std::vector<int> signals_;  // until then
  std::vector<runhv_event> told_;
  std::vector<container::UpdateDone> updated_;
  platform::Timer turn_;
  platform::Timer grace_;
  bool paused_ = false;
  bool ended_ = false;
};

}  // namespace runhv::vmm_main
