// A guest that speaks vsock, and a service whose endpoints do what the test says.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "devices/virtio/mmio_transport.h"
#include "devices/vsock/packet.h"
#include "devices/vsock/vsock.h"
#include "testing/guest.h"
#include "testing/virtio_driver.h"

namespace runhv::testing {

// What an endpoint does and has seen; outlives the endpoint.
struct EndpointScript {
  devices::VsockConnectionId id = 0;
  std::uint32_t guest_port = 0;
  std::size_t takes = SIZE_MAX;  // bytes that receive() will still take
  std::string to_send;
  bool send_finished = false;
  bool closed = false;

  std::string received;
  int guest_finished = 0;
  int disconnected = 0;
};

class ScriptedEndpoint final : public devices::VsockEndpoint {
 public:
  explicit ScriptedEndpoint(EndpointScript& script) : script_(script) {}
  std::size_t receive(std::span<const std::byte> data) override {
    const std::size_t size = std::min(data.size(), script_.takes);
    if (script_.takes != SIZE_MAX) script_.takes -= size;
    for (const std::byte byte : data.first(size)) {
      script_.received.push_back(static_cast<char>(byte));
    }
    return size;
  }
  std::size_t send(std::span<std::byte> out) override {
    const std::size_t size = std::min(out.size(), script_.to_send.size());
    std::memcpy(out.data(), script_.to_send.data(), size);
    script_.to_send.erase(0, size);
    return size;
  }
  bool send_finished() const override { return script_.send_finished && script_.to_send.empty(); }
  bool closed() const override { return script_.closed; }
  void on_guest_finished() override { ++script_.guest_finished; }
  void on_disconnect() override { ++script_.disconnected; }

 private:
  EndpointScript& script_;
};

// Accepts every port but 9.
class ScriptedService final : public devices::VsockService {
 public:
  std::unique_ptr<devices::VsockEndpoint> accept(devices::VsockConnectionId id,
                                                 std::uint32_t guest_port,
                                                 std::uint32_t host_port) override {
    if (host_port == 9) return nullptr;
    scripts.push_back(std::make_unique<EndpointScript>(next));
    scripts.back()->id = id;
    scripts.back()->guest_port = guest_port;
    return std::make_unique<ScriptedEndpoint>(*scripts.back());
  }
  EndpointScript next;  // the script of connections to come
  std::vector<std::unique_ptr<EndpointScript>> scripts;
};

struct VsockPacket {
  devices::VsockHeader header;
  std::string payload;
};

class VsockGuest {
 public:
  static constexpr std::uint32_t kHostPort = 1024;
  static constexpr std::uint32_t kGuestPort = 5000;
  static constexpr std::uint32_t kReceiveBufferBytes = 4096;

  explicit VsockGuest(devices::VsockService& service,
                      memory::MemoryWriteObserver* observer = nullptr)
      : memory(make_guest_memory(observer)),
        device(new devices::VsockDevice(service)),
        transport(std::unique_ptr<devices::VirtioDevice>(device), memory, irq, later),
        driver(transport, *memory, Gpa{1 << 20}) {}

  void start(int receive_buffers) {
    RUNHV_CHECK(driver.start(UINT64_MAX));
    give_buffers(receive_buffers);
  }

  // Buffers for packets from the host.
  void give_buffers(int count) {
    for (; count > 0; --count) {
      const Gpa address{kReceiveBuffers + kReceiveBufferBytes * (given_++ % 128)};
      const Buffer buffer{address, kReceiveBufferBytes, true};
      const std::uint16_t head = driver.queue(0).add({&buffer, 1});
      if (buffer_of_.size() <= head) buffer_of_.resize(head + 1u);
      buffer_of_[head] = address;
    }
    driver.queue(0).kick();
  }

  devices::VsockHeader header(devices::VsockOp op) const {
    return {.source_cid = 3,
            .destination_cid = 2,
            .source_port = kGuestPort,
            .destination_port = kHostPort,
            .op = static_cast<std::uint16_t>(op),
            .buffer_bytes = 64 * 1024,
            .forwarded_bytes = forwarded};
  }

  // Returns whether the device wanted to be told.
  bool send(devices::VsockHeader packet, std::string_view payload = {}) {
    if (packet.payload_bytes == 0)
      packet.payload_bytes = static_cast<std::uint32_t>(payload.size());
    put(*memory, kTransmit, devices::store_vsock_header(packet));
    std::vector<Buffer> buffers{{kTransmit, devices::kVsockHeaderBytes, false}};
    if (!payload.empty()) {
      const Gpa at{kTransmit.value + 64};
      put(*memory, at, payload);
      buffers.push_back({at, static_cast<std::uint32_t>(payload.size()), false});
    }
    driver.queue(1).add(buffers);
    return driver.queue(1).kick();
  }
  bool send(devices::VsockOp op, std::string_view payload = {}) {
    return send(header(op), payload);
  }

  std::optional<VsockPacket> receive() {
    const auto used = driver.queue(0).take_used();
    if (!used) return std::nullopt;
    const Gpa address = buffer_of_[used->head];
    std::array<std::byte, devices::kVsockHeaderBytes> bytes;
    const auto copy = get(*memory, address, bytes.size());
    std::copy(copy.begin(), copy.end(), bytes.begin());
    VsockPacket packet{devices::load_vsock_header(bytes), ""};
    const std::size_t size = used->written_bytes - devices::kVsockHeaderBytes;
    if (size > 0) {
      packet.payload = get_text(*memory, Gpa{address.value + devices::kVsockHeaderBytes}, size);
    }
    return packet;
  }
  // The op of the next packet; 0 = none.
  devices::VsockOp receive_op() {
    const auto packet = receive();
    return packet ? static_cast<devices::VsockOp>(packet->header.op) : devices::VsockOp{0};
  }

  bool connect() {
    send(devices::VsockOp::kRequest);
    return receive_op() == devices::VsockOp::kResponse;
  }

  static constexpr devices::VsockOp kNone{0};
  FakeIrqLine irq;
  HeldJobs later;
  std::shared_ptr<memory::GuestMemory> memory;
  devices::VsockDevice* device;
  devices::MmioTransport transport;
  VirtioDriver driver;
  std::uint32_t forwarded = 0;

 private:
  static constexpr std::uint64_t kReceiveBuffers = 2 << 20;
  static constexpr Gpa kTransmit{4 << 20};
  std::vector<Gpa> buffer_of_;
  std::uint64_t given_ = 0;
};

}  // namespace runhv::testing
