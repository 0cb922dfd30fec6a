// Container's inside: one state machine, on the loop's thread. container.cc has the requests of the
// owner, container_life.cc what happens by itself, container_network.cc what becomes of the
// network, container_join.cc more containers in its machine.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "container/agent_channel.h"
#include "container/container.h"
#include "container/loop_call.h"
#include "container/network_messages.h"
#include "container/process.h"
#include "container/resolver.h"
#include "devices/net/tap_backend.h"
#include "platform/network_namespace.h"

namespace runhv::container {

// The runtime specification's state, as a process of the container sees it.
// Who may not give files away shows the guest one user, root, in place of those that the maps name:
// then there is no user namespace.
void keep_users_apart(ContainerSpec& container);

std::string state_for_hooks(const std::string& id, const std::string& folder, const Bundle& bundle);

// The phases and what leads from one to another: docs/life.md.
class Container::Impl final : private machine::MachineObserver {
 public:
  Impl(platform::EventLoop& loop, ContainerEvents& events, std::string id, std::uint64_t tick_ns);
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();

  Result<void> make(ContainerConfig config, const MakeMachine& make_machine);

  Result<void> boot();
  Result<void> start();
  Result<void> signal(ProcessNumber number, int signal);
  Result<void> stop(int signal, std::uint32_t grace_ms);
  Result<void> pause();
  Result<void> resume();
  Result<ProcessNumber> start_process(ProcessConfig config);
  Result<ProcessNumber> join(JoinConfig config);
  Result<void> resize(ProcessNumber number, std::uint16_t columns, std::uint16_t rows);
  Result<void> update(ProcessNumber which, std::string_view json, UpdateDone done);
  Result<void> attach(ProcessNumber number, int stream, std::optional<platform::Stream> end);

  const std::string& id() const { return id_; }
  const Bundle& bundle() const { return bundle_; }
  ContainerState state() const;
  const std::optional<Result<ExitStatus>>& end() const { return end_; }
  ContainerStatistics statistics();
  const StatisticsPage& statistics_page() const { return timeline_.page(); }
  std::optional<machine::MachineMemory> guest_memory(std::size_t index) const {
    return machine_ == nullptr ? std::nullopt : machine_->guest_memory(index);
  }

 private:
  // A guest that was told to power off, or whose agent has gone, gets this long to end by itself; a
  // reader of the host's, to take what a guest had sent that was killed or failed.
  static constexpr std::uint64_t kLastWordsNs = 1'000'000'000;

  enum class Phase {
    kMade,         // nothing runs
    kBooting,      // waits for HELLO
    kPreparing,    // for PREPARED
    kCreated,      // for start()
    kStarting,     // for STARTED
    kRunning,      // paused, maybe
    kDraining,     // the first process has ended: for the end of the outputs
    kPoweringOff,  // for the guest to power off
    kStopping,     // the result is there: for the machine's end, and the host to take what it sent
    kStopped
  };

  // One more container in the machine.
  struct Member {
    std::vector<std::size_t> shares;  // of the machine
    std::uint32_t personality = 0;
    bool has_cgroup = false;
    std::vector<std::uint32_t> slots;  // of the machine, with the interfaces of its own network
  };

  // On their way to the guest, of all containers: a paused one answers none.
  static constexpr std::size_t kMaxUpdates = std::size_t{2} * RUNHV_MAX_CONTAINERS;

  // Of a container's cgroup.
  struct Update {
    ProcessNumber container;
    UpdateDone done;
    bool answered;  // its owner has been: what the guest says of it is a warning at most
  };

  // On the machine's threads.
  void on_stage(std::uint8_t stage) override;
  void on_ended() override;

  Result<void> make_machine();
  Result<void> connect_network();
  Result<std::optional<runhv_resolver>> connect_resolver();
  void watch_network();
  void look_at_network();
  Result<void> change_network();
  Result<std::uint32_t> plug(const platform::NetworkInterface& interface);
  void plug(std::uint32_t number, std::unique_ptr<devices::TapBackend> tap, std::uint16_t mtu);
  std::uint32_t free_slot() const;
  Result<void> connect_member(JoinedNetwork& network, Member& member, const std::string& joining);
  void disconnect_member(const Member& member);
  void tell_slots(std::span<const runhv_network_slot> slots);

  StreamPort::Hooks hooks(std::function<void()> on_first_byte);
  Result<void> run_machine();
  Result<Process*> find(ProcessNumber number, const char* verb);
  Result<void> check_can_begin(const std::string& operation) const;
  Result<ProcessNumber> begin_process(const ProcessSpec& spec, HostStreams streams,
                                      std::vector<HostDescriptor> descriptors,
                                      const ProcessPlace& place);
  Result<void> join_users(ContainerSpec& container, bool has_network,
                          const std::string& joining) const;
  Result<void> share_files(ContainerSpec& container, Member& member);
  void let_go_of(const Member& member);
  void end_member(ProcessNumber number);

  void step();
  void look_at_agent();
  void on(const AgentHello& hello);
  void on(const AgentPrepared& prepared);
  void on(const AgentStarted& started);
  void on(const AgentFailed& failed);
  void on(const AgentExited& exited);
  void on(const AgentOutOfMemory& memory);
  void on(const AgentWarning& warning);
  void on(const AgentResourcesSet& set);
  void end_update(const Result<void>& result);
  void end_updates();
  void answer_later(Update& update);
  Process* named(ProcessNumber number, const char* message);
  bool accept(const Result<void>& result);
  void on_created();
  void on_first_ended();
  void look_at_outputs();
  void look_at_machine(bool machine_ended);
  void say_what_is_kept();
  void wake(devices::VsockConnectionId connection);
  void watch();
  void on_tick();
  void on_last_words();

  void kill(int signal);
  void fail(Error error);
  void begin_stopping(Result<ExitStatus> result);
  void end_if_delivered();
  Result<ExitStatus> final_result() const;
  Error machine_failure() const;
  Error guest_fault(std::string detail) const {
    return Error{Code::kGuestFailed, operation("run"), std::move(detail)};
  }

  void tell(std::function<void(ContainerEvents&)> event) { told_.push_back(std::move(event)); }
  void tell_process_ended(ProcessNumber number, const Process& process);
  void warn(ProcessNumber number, Error warning);

  Process& first() const { return *processes_.at(kFirstProcess); }
  std::string operation(const char* verb) const { return verb + (" container " + id_); }

  platform::EventLoop& loop_;
  ContainerEvents& events_;
  const std::string id_;
  const std::uint64_t tick_ns_;
  Bundle bundle_;
  Timeline timeline_;

  std::deque<std::function<void(ContainerEvents&)>> told_;  // that step() is to tell
  std::size_t warnings_ = 0;
  std::uint32_t oom_kills_ = 0;

  LoopCall look_;
  AgentChannel channel_;
  std::string kernel_name_;                   // once it was asked for
  std::vector<std::byte> container_request_;  // of CONTAINER, until it is sent
  machine::MachineConfig machine_config_;     // until there is a machine
  MakeMachine make_machine_;
  std::function<Result<void>()> before_guest_;
  std::map<ProcessNumber, std::unique_ptr<Process>> processes_;  // the first stays
  ProcessNumber next_number_ = kFirstProcess;
  std::map<ProcessNumber, Member> members_;  // by the numbers of their first processes

  std::deque<Update> updates_;  // on their way, in the order of their answers

  Phase phase_ = Phase::kMade;
  bool start_wanted_ = false;
  bool is_created_ = false;
  bool awaits_network_ = false;  // machine_ is null until start()
  bool paused_ = false;
  bool asked_to_end_ = false;     // SIGINT or SIGTERM came
  bool killed_ = false;           // the result is not the guest's
  bool output_given_up_ = false;  // no reader is waited for any more
  bool deaf_ = false;             // the agent's connection is gone
  std::atomic<bool> machine_ended_{false};
  std::optional<Result<ExitStatus>> result_;  // from kStopping on
  std::optional<Result<ExitStatus>> end_;     // from kStopped on: what was told
  std::uint64_t created_at_ns_ = 0;
  std::uint64_t started_at_ns_ = 0;
  std::uint64_t ended_at_ns_ = 0;

  platform::Timer tick_;
  bool ticking_ = false;
  platform::Timer last_words_;
  platform::Timer grace_;
  std::optional<platform::TakenNetwork> network_;
  NetworkState interfaces_;     // that the agent has been told of
  std::size_t slot_count_ = 0;  // of the machine, for interfaces
  // By the slots of the machine: of interfaces_, and of members with a network of their own.
  std::map<std::uint32_t, std::unique_ptr<devices::TapBackend>> taps_;
  std::string network_fault_;           // the last that was told
  std::unique_ptr<Resolver> resolver_;  // network_'s; null = it has none
  std::unique_ptr<machine::Machine> machine_;
};

}  // namespace runhv::container
