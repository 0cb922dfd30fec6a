// A machine without a machine: what the guest does, its agent included, is what a test says. For
// tests and fuzz targets.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "container/agent_request.h"
#include "container/container.h"
#include "devices/vsock/vsock_host.h"
#include "machine/machine.h"
#include "runhv_agent.h"

namespace runhv::container {

// What a test holds of the guest; the machine of it may come and go. Everything happens on the
// caller's thread, as a processor's thread would do it. A guest that does not run, or is paused,
// does nothing.
class FakeGuest final : public devices::VsockWaker {
 public:
  struct Request {
    std::uint16_t type;
    std::vector<std::byte> payload;
    std::uint32_t word(std::size_t offset) const { return load_le<std::uint32_t>(payload, offset); }
  };

  // --- the machine ---
  MakeMachine maker();
  bool exists() const { return service_ != nullptr; }
  bool is_running() const { return running_; }
  bool is_paused() const { return paused_; }
  bool is_asked_to_stop() const { return stopping_; }
  bool can_act() const { return running_ && !paused_; }
  // The guest ends its machine.
  void end(machine::MachineEnd reason) {
    if (can_act()) finish(reason);
  }
  // With it, stop() ends the machine at once; else stop_now() does.
  bool ends_when_asked = true;
  void stop_now() {
    if (stopping_) finish(machine::MachineEnd::kStopped);
  }
  std::optional<Error> start_error;
  std::size_t next_share = 1;  // 0 is the first container's root
  std::size_t removed_shares = 0;
  std::map<std::size_t, std::uint16_t> plugged;  // slots for networks, with the MTU of each

  // --- connections: none where the host refuses ---
  bool connect(std::uint32_t port) {
    if (!can_act()) return false;
    const devices::VsockConnectionId id = ++last_id_;
    auto endpoint = service_->accept(id, 5000, port);
    if (endpoint == nullptr) return false;
    connections_.emplace(id, Connection{port, std::move(endpoint), {}, {}, false, false, false});
    wake(id);
    return true;
  }
  bool is_connected(std::uint32_t port) const { return find(port) != nullptr; }
  void write(std::uint32_t port, std::string_view bytes) {
    if (Connection* connection = find(port); connection != nullptr && can_act()) {
      if (connection->finished) return;
      connection->to_host += bytes;
      wake(id_of(port));
    }
  }
  // The guest's credit: what the host has not taken.
  std::size_t held(std::uint32_t port) const {
    const Connection* connection = find(port);
    return connection == nullptr ? 0 : connection->to_host.size();
  }
  void shut_down(std::uint32_t port) {
    if (Connection* connection = find(port); connection != nullptr && can_act()) {
      connection->finished = true;
      wake(id_of(port));
    }
  }
  void reset(std::uint32_t port) {
    const devices::VsockConnectionId id = id_of(port);
    if (id != 0 && can_act()) drop(id);
  }
  // What has come for the guest, once.
  std::string read(std::uint32_t port) {
    Connection* connection = find(port);
    if (connection == nullptr) return "";
    wake(id_of(port));
    connection = find(port);
    return connection == nullptr ? "" : std::exchange(connection->from_host, {});
  }
  bool host_has_finished(std::uint32_t port) const {
    const Connection* connection = find(port);
    return connection != nullptr && connection->host_finished;
  }

  // --- the agent ---
  bool says_hello() {
    if (!connect(RUNHV_CONTROL_PORT)) return false;
    say(RUNHV_MSG_HELLO, runhv_hello{RUNHV_PROTO_MAGIC, RUNHV_PROTO_VERSION, 0});
    return true;
  }
  void says_prepared(ProcessNumber n) { say(RUNHV_MSG_PREPARED, runhv_process_id{n, 0}); }
  void says_started(ProcessNumber n) { say(RUNHV_MSG_STARTED, runhv_process_id{n, 0}); }
  void says_exited(ProcessNumber n, std::uint32_t status) {
    say(RUNHV_MSG_EXITED, runhv_exited{n, 0, status, 0});
  }
  void says_failed(ProcessNumber n, std::uint32_t status, std::string_view text) {
    say(RUNHV_MSG_FAILED, runhv_failed{n, 2, status, 0}, text);
  }
  void says_warning(ProcessNumber n, std::string_view text) {
    say(RUNHV_MSG_WARNING, runhv_process_id{n, 0}, text);
  }
  void says_out_of_memory(std::uint32_t kills) {
    say(RUNHV_MSG_OUT_OF_MEMORY, runhv_out_of_memory{kills, 0});
  }
  template <class T>
  void say(std::uint16_t type, const T& body, std::string_view text = "") {
    std::vector<std::byte> payload(sizeof body);
    std::memcpy(payload.data(), &body, sizeof body);
    const auto tail = as_bytes(text);
    payload.insert(payload.end(), tail.begin(), tail.end());
    say_bytes(encode_frame(type, payload));
  }
  void say_bytes(std::span<const std::byte> bytes) {
    write(RUNHV_CONTROL_PORT, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  // While it does not, what the host sends waits in the host.
  void stop_listening() { listens_ = false; }
  void listen_again() {
    listens_ = true;
    wake_all();
  }
  // Whole frames that have come, once.
  std::vector<Request> hears() {
    heard_ += read(RUNHV_CONTROL_PORT);
    std::vector<Request> requests;
    while (heard_.size() >= sizeof(runhv_frame)) {
      const auto bytes = as_bytes(heard_);
      const auto length = load_le<std::uint32_t>(bytes, offsetof(runhv_frame, length));
      RUNHV_CHECK(length <= RUNHV_MAX_FRAME_TO_AGENT);
      if (heard_.size() < sizeof(runhv_frame) + length) break;
      const auto payload = bytes.subspan(sizeof(runhv_frame), length);
      requests.push_back({load_le<std::uint16_t>(bytes, offsetof(runhv_frame, type)),
                          {payload.begin(), payload.end()}});
      heard_.erase(0, sizeof(runhv_frame) + length);
    }
    return requests;
  }

  // --- VsockWaker: as the device does it ---
  void wake(devices::VsockConnectionId id) override {
    const auto found = connections_.find(id);
    // What a paused machine's device would do waits.
    if (found == connections_.end() || paused_) return;
    Connection& connection = found->second;
    devices::VsockEndpoint& endpoint = *connection.endpoint;
    while (!connection.to_host.empty()) {
      const std::size_t taken = endpoint.receive(as_bytes(connection.to_host));
      RUNHV_CHECK(taken <= connection.to_host.size());
      connection.to_host.erase(0, taken);
      if (taken == 0) break;
    }
    if (connection.to_host.empty() && connection.finished &&
        !std::exchange(connection.told, true)) {
      endpoint.on_guest_finished();
    }
    if (running_ && listens_) {
      std::vector<std::byte> room(64u << 10);
      while (const std::size_t given = endpoint.send(room)) {
        connection.from_host.append(reinterpret_cast<const char*>(room.data()), given);
      }
      connection.host_finished = endpoint.send_finished();
    }
    if (endpoint.closed()) drop(id);
  }

 private:
  friend class FakeMachine;
  void finish(machine::MachineEnd reason) {
    if (!running_) return;
    running_ = false;
    end_ = reason;
    observer_->on_ended();
  }
  struct Connection {
    std::uint32_t port;
    std::unique_ptr<devices::VsockEndpoint> endpoint;
    std::string to_host;
    std::string from_host;
    bool finished;  // by the guest
    bool told;
    bool host_finished;
  };

  devices::VsockConnectionId id_of(std::uint32_t port) const {
    for (const auto& [id, connection] : connections_) {
      if (connection.port == port) return id;
    }
    return 0;
  }
  const Connection* find(std::uint32_t port) const {
    const auto found = connections_.find(id_of(port));
    return found == connections_.end() ? nullptr : &found->second;
  }
  Connection* find(std::uint32_t port) {
    return const_cast<Connection*>(std::as_const(*this).find(port));
  }
  void drop(devices::VsockConnectionId id) {
    auto connection = connections_.extract(id);
    connection.mapped().endpoint->on_disconnect();
  }
  void wake_all() {
    std::vector<devices::VsockConnectionId> ids;
    for (const auto& each : connections_) ids.push_back(each.first);
    for (const devices::VsockConnectionId id : ids) wake(id);
  }

  devices::VsockService* service_ = nullptr;
  machine::MachineObserver* observer_ = nullptr;
  bool started_ = false;
  bool running_ = false;
  bool paused_ = false;
  bool stopping_ = false;
  bool listens_ = true;
  machine::MachineEnd end_ = machine::MachineEnd::kStopped;
  std::map<devices::VsockConnectionId, Connection> connections_;
  devices::VsockConnectionId last_id_ = 0;
  std::string heard_;
};

class FakeMachine final : public machine::Machine {
 public:
  FakeMachine(FakeGuest& guest, const machine::MachineConfig& config) : guest_(guest) {
    guest_.service_ = config.vsock;
    guest_.observer_ = config.observer;
  }
  ~FakeMachine() override {
    guest_.finish(machine::MachineEnd::kStopped);
    while (!guest_.connections_.empty()) guest_.drop(guest_.connections_.begin()->first);
    guest_.service_ = nullptr;
  }

  Result<void> start() override {
    RUNHV_CHECK(!std::exchange(guest_.started_, true));
    if (guest_.start_error) return Fail{*guest_.start_error};
    guest_.running_ = true;
    return {};
  }
  void stop() override {
    guest_.stopping_ = true;
    if (guest_.ends_when_asked) guest_.finish(machine::MachineEnd::kStopped);
  }
  Result<void> pause() override {
    if (!guest_.running_ || guest_.paused_) {
      return Fail{Error{Code::kConflict, "pause the machine", "it does not run"}};
    }
    guest_.paused_ = true;
    return {};
  }
  Result<void> resume() override {
    RUNHV_CHECK(guest_.paused_);
    guest_.paused_ = false;
    guest_.wake_all();
    return {};
  }
  machine::MachineEnd end() const override { return guest_.end_; }
  Error error() const override { return {Code::kGuestFailed, "run the guest", "triple fault"}; }
  devices::VsockWaker* vsock_waker() override { return &guest_; }
  std::string engine_name() const override { return "fake"; }
  std::string engine_reason() const override { return ""; }
  std::string kernel_name() const override { return "none"; }
  std::uint64_t partition_made_ns() const override { return 1; }
  std::uint64_t guest_memory_resident_bytes() const override { return 0; }
  std::vector<devices::DiskCounts> disk_counts() const override { return {}; }
  std::uint32_t network_slot_number(std::size_t slot) const override {
    return static_cast<std::uint32_t>(slot);
  }
  void plug_network(std::size_t slot, const machine::MachineNetwork& network) override {
    RUNHV_CHECK(guest_.plugged.emplace(slot, network.mtu).second);
  }
  void unplug_network(std::size_t slot) override { RUNHV_CHECK(guest_.plugged.erase(slot) == 1); }
  Result<std::size_t> add_share(devices::Share) override { return guest_.next_share++; }
  void remove_share(std::size_t) override { ++guest_.removed_shares; }
  std::optional<machine::MachineMemory> guest_memory(std::size_t) const override {
    return std::nullopt;
  }

 private:
  FakeGuest& guest_;
};

inline MakeMachine FakeGuest::maker() {
  return [this](const machine::MachineConfig& config) -> Result<std::unique_ptr<machine::Machine>> {
    return std::unique_ptr<machine::Machine>(std::make_unique<FakeMachine>(*this, config));
  };
}

}  // namespace runhv::container
