// A container's network: what of its namespace the machine is given, at first and while it runs.

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "container/agent_request.h"
#include "container/container_impl.h"

namespace runhv::container {
namespace {

// Room for interfaces that come later: each costs the guest three exits while it boots.
constexpr std::size_t kSpareSlots = 3;

machine::MachineNetwork device_of(std::uint32_t number, devices::NetBackend& backend,
                                  std::uint16_t mtu) {
  return {.backend = &backend, .mac = network_device_mac(number), .mtu = mtu};
}

// At most 65535 of an interface that was taken.
std::uint16_t mtu_of(const platform::NetworkInterface& interface) {
  return static_cast<std::uint16_t>(interface.mtu);
}

runhv_network_slot slot_of(const machine::Machine& machine, std::uint32_t number, bool present) {
  return {.interface = number,
          .device = machine.network_slot_number(number),
          .present = present ? 1u : 0u,
          .zero = 0};
}

}  // namespace

// What is there before the machine is made.
Result<void> Container::Impl::connect_network() {
  RUNHV_TRY(network_->bind(loop_));
  for (platform::TakenNetwork::Part& part : network_->parts()) {
    const auto number = static_cast<std::uint32_t>(interfaces_.size());
    RUNHV_TRY_ASSIGN(auto tap, devices::TapBackend::create(std::move(part.tap), loop_));
    machine_config_.networks.push_back(device_of(number, *tap, mtu_of(part.interface)));
    taps_.emplace(number, std::move(tap));
    interfaces_.emplace(number, part.interface);
  }
  slot_count_ = std::min(interfaces_.size() + kSpareSlots, machine::MachineLimits::kMaxNetworks);
  machine_config_.network_slots = slot_count_;
  return {};
}

// What the agent is told of the namespace's resolver; nothing where there is none, or it knows.
Result<std::optional<runhv_resolver>> Container::Impl::connect_resolver() {
  if (resolver_ != nullptr || !network_->has_resolver()) return std::optional<runhv_resolver>();
  RUNHV_TRY_ASSIGN(
      resolver_,
      Resolver::create(
          loop_, [this](bool datagrams) { return network_->connect_to_resolver(datagrams); },
          [this](devices::VsockConnectionId connection) { wake(connection); }));
  channel_.serve(RUNHV_RESOLVER_DATAGRAM_PORT,
                 [this](devices::VsockConnectionId id) { return resolver_->accept_datagrams(id); });
  channel_.serve(RUNHV_RESOLVER_STREAM_PORT,
                 [this](devices::VsockConnectionId id) { return resolver_->accept_stream(id); });
  runhv_resolver told{};
  std::ranges::copy(platform::kResolverAddress, told.address);
  told.port = platform::kResolverPort;
  return std::optional(told);
}

void Container::Impl::watch_network() {
  network_->on_change([this] {
    look_at_network();
    watch_network();
  });
}

// Makes the guest's network what the namespace is now, where the agent has nothing else to do with
// it: who brings the container there looks again. What cannot be done is a warning: the container
// runs.
void Container::Impl::look_at_network() {
  if (!network_) return;
  if ((phase_ != Phase::kCreated && phase_ != Phase::kRunning) || paused_) {
    network_->forget_changes();
    return;
  }
  const auto changed = change_network();
  if (changed) return;
  // The same one, at each further event, is not told again.
  if (to_string(changed.error()) == std::exchange(network_fault_, to_string(changed.error()))) {
    return;
  }
  warn(kFirstProcess, changed.error());
  look_.request();
}

Result<void> Container::Impl::change_network() {
  RUNHV_TRY_ASSIGN(const std::vector<platform::NetworkInterface> now, network_->interfaces());
  NetworkState before = interfaces_;
  std::vector<runhv_network_slot> slots;
  const auto tell_slot = [&](std::uint32_t number, bool present) {
    slots.push_back(slot_of(*machine_, number, present));
  };
  for (const auto& [number, interface] : before) {
    const bool stays = std::ranges::any_of(
        now, [&](const auto& each) { return is_same_link(each, interfaces_.at(number)); });
    if (stays) continue;
    machine_->unplug_network(number);
    taps_.erase(number);
    network_->give_back(interface.index);
    interfaces_.erase(number);
    tell_slot(number, false);
  }
  Result<void> result;
  for (const platform::NetworkInterface& interface : now) {
    const auto found = std::ranges::find_if(
        interfaces_, [&](const auto& each) { return each.second.index == interface.index; });
    if (found != interfaces_.end()) {
      found->second = interface;
      continue;
    }
    auto number = plug(interface);
    if (number) {
      tell_slot(*number, true);
    } else {
      result = Fail{std::move(number).error()};
    }
  }
  std::erase_if(before, [&](const auto& each) {
    return !interfaces_.contains(each.first) ||
           !is_same_link(each.second, interfaces_.at(each.first));
  });
  const std::vector<NetworkMessage> messages = network_messages(before, interfaces_);
  RUNHV_TRY_ASSIGN(const auto resolver, connect_resolver());
  if (slots.empty() && messages.empty() && !resolver) return result;
  RUNHV_TRY_ASSIGN(const auto payload, encode_network(slots, messages, resolver));
  channel_.send(encode_frame(RUNHV_MSG_NETWORK, payload));
  look_.request();
  return result;
}

// The number of the slot that it has now.
Result<std::uint32_t> Container::Impl::plug(const platform::NetworkInterface& interface) {
  const std::uint32_t number = free_slot();
  if (number >= slot_count_) {
    return Fail{Error{Code::kUnsupported, operation("change the network of"),
                      "its interface " + interface.name + " has no room: the machine began with " +
                          std::to_string(slot_count_) + " slots"}};
  }
  RUNHV_TRY_ASSIGN(platform::Tap tap, network_->take(interface));
  RUNHV_TRY_ASSIGN(auto backend, devices::TapBackend::create(std::move(tap), loop_));
  plug(number, std::move(backend), mtu_of(interface));
  interfaces_.emplace(number, interface);
  return number;
}

void Container::Impl::plug(std::uint32_t number, std::unique_ptr<devices::TapBackend> tap,
                           std::uint16_t mtu) {
  machine_->plug_network(number, device_of(number, *tap, mtu));
  taps_.emplace(number, std::move(tap));
}

// slot_count_ where there is none.
std::uint32_t Container::Impl::free_slot() const {
  std::uint32_t number = 0;
  while (taps_.contains(number)) ++number;
  return number;
}

// The agent is told of the devices before the container that has them. They stay as they are for as
// long as it runs: the process that stands for it follows its namespace no further.
Result<void> Container::Impl::connect_member(JoinedNetwork& network, Member& member,
                                             const std::string& joining) {
  const std::size_t free = slot_count_ - taps_.size();
  if (network.interfaces.size() > free) {
    return Fail{Error{Code::kUnsupported, joining,
                      "its own network has too many interfaces, " +
                          std::to_string(network.interfaces.size()) + ": the VM has room for " +
                          std::to_string(free) +
                          " more; one that began without a network has none"}};
  }
  std::vector<std::unique_ptr<devices::TapBackend>> taps;
  for (JoinedNetwork::Interface& each : network.interfaces) {
    RUNHV_TRY_ASSIGN(platform::Tap tap, platform::Tap::adopt_owned(std::move(each.tap)));
    RUNHV_TRY_ASSIGN(auto backend, devices::TapBackend::create(std::move(tap), loop_));
    taps.push_back(std::move(backend));
  }
  std::vector<runhv_network_slot> slots;
  for (std::size_t i = 0; i < taps.size(); ++i) {
    const std::uint32_t number = free_slot();
    plug(number, std::move(taps[i]), network.interfaces[i].mtu);
    member.slots.push_back(number);
    slots.push_back(slot_of(*machine_, number, true));
  }
  for (NetworkMessage& each : network.messages) each.interface = member.slots.at(each.interface);
  tell_slots(slots);
  return {};
}

void Container::Impl::disconnect_member(const Member& member) {
  std::vector<runhv_network_slot> slots;
  for (const std::uint32_t number : member.slots) {
    machine_->unplug_network(number);
    taps_.erase(number);
    slots.push_back(slot_of(*machine_, number, false));
  }
  if (phase_ < Phase::kDraining) tell_slots(slots);
}

void Container::Impl::tell_slots(std::span<const runhv_network_slot> slots) {
  if (slots.empty()) return;
  // A few numbers, which a frame always has room for.
  const auto payload = encode_network(slots, {}, {});
  RUNHV_CHECK(payload);
  channel_.send(encode_frame(RUNHV_MSG_NETWORK, *payload));
}

}  // namespace runhv::container
