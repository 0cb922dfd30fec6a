// What happens to a container by itself: messages of the agent, ends, time.

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include "container/agent_request.h"
#include "container/container_impl.h"
#include "platform/clock.h"

namespace runhv::container {
namespace {

Error lie(std::string detail) {
  return Error{Code::kGuestFailed, "listen to the agent", std::move(detail)};
}

}  // namespace

// --- what happens --------------------------------------------------------------------------------

void Container::Impl::step() {
  if (phase_ != Phase::kStopped) {
    // Asked first: what a machine that has ended has said lies in the channel.
    const bool machine_ended = machine_ended_.load(std::memory_order_acquire);
    if (!paused_) look_at_agent();
    look_at_outputs();
    look_at_machine(machine_ended);
    say_what_is_kept();
    watch();
  }
  while (!told_.empty()) {
    const auto event = std::move(told_.front());
    told_.pop_front();
    event(events_);
  }
}

void Container::Impl::look_at_agent() {
  AgentChannel::Received received = channel_.receive();
  for (const AgentMessage& message : received.messages) {
    // What is said after the end of the first process is of no use to anyone.
    if (phase_ < Phase::kDraining) std::visit([this](const auto& each) { on(each); }, message);
  }
  if (phase_ >= Phase::kDraining) return;
  if (received.fault) return fail(*std::move(received.fault));
  if (received.lost && !std::exchange(deaf_, true)) {
    last_words_.set(platform::monotonic_ns() + kLastWordsNs);
  }
}

void Container::Impl::on(const AgentHello&) {
  if (phase_ != Phase::kBooting) return fail(lie("HELLO came twice"));
  first().on_heard();
  phase_ = first().phase() == Process::Phase::kStarting ? Phase::kStarting : Phase::kPreparing;
}

void Container::Impl::on(const AgentPrepared& prepared) {
  Process* const process = named(prepared.process, "PREPARED");
  if (process == nullptr || !accept(process->on_prepared())) return;
  // Others are executed at once, and do not come here.
  on_created();
  phase_ = Phase::kCreated;
  look_at_network();
  if (!start_wanted_) return;
  process->execute();
  phase_ = Phase::kStarting;
}

void Container::Impl::on(const AgentStarted& started) {
  Process* const process = named(started.process, "STARTED");
  if (process == nullptr || !accept(process->on_started())) return;
  if (started.process != kFirstProcess) {
    return tell(
        [number = started.process](ContainerEvents& events) { events.on_process_started(number); });
  }
  on_created();
  phase_ = Phase::kRunning;
  look_at_network();
  started_at_ns_ = platform::realtime_ns();
  tell([](ContainerEvents& events) { events.on_started(); });
}

void Container::Impl::on(const AgentFailed& failed) {
  Process* const process = named(failed.process, "FAILED");
  if (process == nullptr || !accept(process->on_failed(failed))) return;
  end_member(failed.process);
  if (failed.process == kFirstProcess) on_first_ended();
}

void Container::Impl::on(const AgentExited& exited) {
  Process* const process = named(exited.process, "EXITED");
  if (process == nullptr || !accept(process->on_exited(exited))) return;
  end_member(exited.process);
  if (exited.process == kFirstProcess) on_first_ended();
}

void Container::Impl::on(const AgentOutOfMemory& memory) {
  if (phase_ == Phase::kBooting) return fail(lie("OUT_OF_MEMORY came before HELLO"));
  if (memory.kills <= oom_kills_) return;
  oom_kills_ = memory.kills;
  tell([kills = memory.kills](ContainerEvents& events) { events.on_out_of_memory(kills); });
}

void Container::Impl::on(const AgentWarning& warning) {
  if (named(warning.process, "WARNING") == nullptr) return;
  warn(warning.process, Error{Code::kUnsupported, "run container " + id_, warning.text});
}

void Container::Impl::on(const AgentResourcesSet& set) {
  if (updates_.empty()) return fail(lie("RESOURCES_SET came, and no RESOURCES was sent"));
  if (set.guest_errno == 0) return end_update({});
  end_update(Fail{Error{Code::kGuestFailed, operation("update"), set.text, Domain::kGuestErrno,
                        set.guest_errno}});
}

// The one that is on its way longest.
void Container::Impl::end_update(const Result<void>& result) {
  tell([done = std::move(updates_.front().done), result](ContainerEvents&) { done(result); });
  updates_.pop_front();
}

void Container::Impl::end_updates() {
  while (!updates_.empty()) {
    end_update(Fail{Error{Code::kClosed, operation("update"), "it has ended"}});
  }
}

// Null, and the guest has lied, where there is no such process or nobody may speak yet.
Process* Container::Impl::named(ProcessNumber number, const char* message) {
  const auto found = processes_.find(number);
  if (phase_ == Phase::kBooting) {
    fail(lie(std::string(message) + " came before HELLO"));
  } else if (found == processes_.end()) {
    fail(lie(std::string(message) + " names the unknown process " + std::to_string(number)));
  } else {
    return found->second.get();
  }
  return nullptr;
}

bool Container::Impl::accept(const Result<void>& result) {
  if (!result) fail(result.error());
  return result.has_value();
}

void Container::Impl::on_created() {
  if (std::exchange(is_created_, true)) return;
  tell([](ContainerEvents& events) { events.on_created(); });
}

void Container::Impl::on_first_ended() {
  timeline_.mark(Stage::kExit, platform::monotonic_ns());
  phase_ = Phase::kDraining;
  last_words_.cancel();
  end_updates();
  for (const auto& [number, process] : processes_) {
    if (!process->ended()) process->end_with_container(guest_fault("it has ended"));
  }
}

// Tells the ends of those whose output is with the host, and lets them go.
void Container::Impl::look_at_outputs() {
  for (auto next = processes_.begin(); next != processes_.end();) {
    const auto here = next++;
    const auto& [number, process] = *here;
    process->release_ended_streams();
    if (number == kFirstProcess || !process->ended()) continue;
    if (!process->view().delivered && !output_given_up_) continue;
    tell_process_ended(number, *process);
    processes_.erase(here);
  }
}

void Container::Impl::look_at_machine(bool machine_ended) {
  if (phase_ < Phase::kDraining && machine_ended) fail(machine_failure());
  if (phase_ == Phase::kDraining) {
    const bool delivered = processes_.size() == 1 && first().view().delivered;
    if (machine_ended) {
      begin_stopping(*first().status());
    } else if (delivered || output_given_up_) {
      channel_.send(encode_frame(RUNHV_MSG_POWER_OFF, {}));
      phase_ = Phase::kPoweringOff;
      last_words_.set(platform::monotonic_ns() + kLastWordsNs);
    }
  }
  if (phase_ == Phase::kPoweringOff && machine_ended) begin_stopping(*first().status());
  if (phase_ == Phase::kStopping && machine_ended) end_if_delivered();
}

void Container::Impl::say_what_is_kept() {
  if (phase_ < Phase::kDraining && channel_.idle()) {
    for (const auto& [number, process] : processes_) process->flush();
  }
  if (const auto control = channel_.take_wake()) wake(*control);
}

void Container::Impl::wake(devices::VsockConnectionId connection) {
  if (machine_ != nullptr) machine_->vsock_waker()->wake(connection);
}

// --- time ----------------------------------------------------------------------------------------

void Container::Impl::watch() {
  const bool wanted = phase_ >= Phase::kBooting && phase_ <= Phase::kDraining && !paused_ &&
                      std::ranges::any_of(processes_, [](const auto& each) {
                        return each.second->is_waited_for();
                      });
  if (wanted == ticking_) return;
  ticking_ = wanted;
  if (wanted) {
    tick_.set(platform::monotonic_ns() + tick_ns_);
  } else {
    tick_.cancel();
  }
}

void Container::Impl::on_tick() {
  ticking_ = false;
  const bool runs = phase_ < Phase::kDraining;
  for (const auto& [number, process] : processes_) {
    auto fault = process->tick(runs);
    if (!fault) continue;
    if (runs && number != kFirstProcess && process->ended()) {
      // What it has left in the background has its outputs, and every right to them: the agent
      // drops what is written to them from here on.
      process->give_up_outputs();
      look_.request();
      continue;
    }
    fail(guest_fault(*std::move(fault)));
    break;
  }
  watch();
}

void Container::Impl::on_last_words() {
  if (phase_ == Phase::kStopping) {
    output_given_up_ = true;
  } else if (phase_ >= Phase::kDraining) {
    begin_stopping(*first().status());
  } else {
    fail(guest_fault("the agent closed its connection"));
  }
  look_.request();
}

// --- the end -------------------------------------------------------------------------------------

void Container::Impl::kill(int signal) {
  if (phase_ == Phase::kStopped) return;
  // It may have ended already.
  look_at_agent();
  if (phase_ == Phase::kStopping) {
    output_given_up_ = true;
    look_.request();
  } else if (first().ended()) {
    output_given_up_ = true;
    begin_stopping(*first().status());
  } else {
    killed_ = true;
    begin_stopping(ExitStatus{ExitStatus::Kind::kSignaled, signal, std::nullopt});
    last_words_.set(platform::monotonic_ns() + kLastWordsNs);
  }
}

void Container::Impl::fail(Error error) {
  if (phase_ >= Phase::kStopping) return;
  begin_stopping(Fail{std::move(error)});
  last_words_.set(platform::monotonic_ns() + kLastWordsNs);
}

void Container::Impl::begin_stopping(Result<ExitStatus> result) {
  timeline_.mark(Stage::kExit, platform::monotonic_ns());
  last_words_.cancel();
  grace_.cancel();
  end_updates();
  result_ = std::move(result);
  if (phase_ == Phase::kMade) {
    on_ended();
  } else {
    machine_->stop();
  }
  // Nothing of the guest runs any more; its devices still hold output.
  if (std::exchange(paused_, false)) (void)machine_->resume();
  phase_ = Phase::kStopping;
  look_.request();
}

void Container::Impl::end_if_delivered() {
  for (const auto& [number, process] : processes_) process->await_delivery();
  const bool held =
      std::ranges::any_of(processes_, [](const auto& each) { return each.second->view().held; });
  if (held && !output_given_up_) return;
  last_words_.cancel();
  for (const auto& [number, process] : processes_) {
    if (!process->ended()) process->end_with_container(guest_fault("it has ended"));
    if (number != kFirstProcess) tell_process_ended(number, *process);
  }
  end_ = final_result();
  ended_at_ns_ = platform::realtime_ns();
  phase_ = Phase::kStopped;
  tell([this](ContainerEvents& events) { events.on_ended(*end_); });
}

Result<ExitStatus> Container::Impl::final_result() const {
  if (!*result_ || killed_) return *result_;
  const Process::View view = first().view();
  // A status of success would hide that output, or the rest of the input, was not there.
  if (view.failure) return Fail{*view.failure};
  if (!view.delivered && !output_given_up_) {
    return Fail{
        guest_fault("the program has ended, but the guest powered off before its output had")};
  }
  return *result_;
}

Error Container::Impl::machine_failure() const {
  switch (machine_->end()) {
    case machine::MachineEnd::kTripleFault:
    case machine::MachineEnd::kGuestStuck:
    case machine::MachineEnd::kFailed:
      return machine_->error();
    case machine::MachineEnd::kPoweredOff:
    case machine::MachineEnd::kStopped:
      break;
  }
  return guest_fault("the guest powered off and gave no exit status");
}

void Container::Impl::tell_process_ended(ProcessNumber number, const Process& process) {
  ExitStatus status = *process.status();
  const Process::View view = process.view();
  if (!status.reason) status.reason = view.failure;
  if (!status.reason && status.kind == ExitStatus::Kind::kExited && !view.delivered) {
    status.reason = guest_fault("the program has ended, but not all of its output was delivered");
  }
  tell([number, status = std::move(status)](ContainerEvents& events) {
    events.on_process_ended(number, status);
  });
}

// A guest may have any number of them to say.
void Container::Impl::warn(ProcessNumber number, Error warning) {
  if (++warnings_ > kMaxWarnings) return;
  tell([number, warning = std::move(warning)](ContainerEvents& events) {
    events.on_warning(number, warning);
  });
}

}  // namespace runhv::container
