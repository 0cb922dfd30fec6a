// A network namespace of this host that somebody else has furnished (CNI, docker, podman), whose
// interfaces a machine takes over.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "platform/event_loop.h"
#include "platform/stream.h"
#include "platform/tap.h"

namespace runhv::platform {

// An address of 4 or 16 bytes, in network order; of 0 bytes: none.
struct IpAddress {
  std::uint8_t size = 0;
  std::array<std::uint8_t, 16> octets{};

  bool present() const { return size != 0; }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(octets)).first(size); }
  bool operator==(const IpAddress&) const = default;
};

// Scopes, flags, types and protocols are rtnetlink(7)'s numbers.
struct NetworkAddress {
  IpAddress local{};
  IpAddress peer{};  // of a point-to-point link, else as `local`
  IpAddress broadcast{};
  std::uint8_t prefix_bits = 0;
  std::uint8_t scope = 0;
  std::uint32_t flags = 0;
  std::uint32_t valid_s = UINT32_MAX;  // UINT32_MAX: for ever
  std::uint32_t preferred_s = UINT32_MAX;
};

struct NetworkRoute {
  std::uint8_t address_bytes = 4;  // or 16
  IpAddress destination{};         // none: the default route
  std::uint8_t prefix_bits = 0;
  IpAddress gateway{};
  IpAddress source{};  // preferred
  std::uint8_t scope = 0;
  std::uint8_t type = 0;
  std::uint8_t protocol = 0;
  std::uint8_t service = 0;  // type of service
  std::uint32_t flags = 0;
  std::uint32_t priority = 0;                                      // the metric of ip(8)
  std::vector<std::pair<std::uint16_t, std::uint32_t>> metrics{};  // RTAX_*: value
  bool operator==(const NetworkRoute&) const = default;
};

struct NetworkNeighbour {
  IpAddress address{};
  std::array<std::uint8_t, 6> mac{};
  bool operator==(const NetworkNeighbour&) const = default;
};

struct NetworkInterface {
  std::uint32_t index = 0;
  std::string name{};
  std::array<std::uint8_t, 6> mac{};
  std::uint32_t mtu = 0;  // at most 65535
  std::vector<NetworkAddress> addresses{};
  std::vector<NetworkRoute> routes{};  // of the main table, but for those that addresses bring
  std::vector<NetworkNeighbour> neighbours{};  // permanent ones
};

inline constexpr std::array<std::uint8_t, 4> kResolverAddress{127, 0, 0, 11};
inline constexpr std::uint16_t kResolverPort = 53;

// A tap is called so, with the index of its interface behind.
inline constexpr std::string_view kTapPrefix = "runhv";

// While it lives, every frame that arrives at one of the interfaces goes to the interface's tap,
// and every frame written to the tap leaves by the interface; the host's kernel hears none of them.
// The interfaces keep their addresses.
class TakenNetwork {
 public:
  struct Part {
    NetworkInterface interface;
    Tap tap;
  };

  // `path`: of the namespace, such as /run/netns/web. Takes each Ethernet interface that is up, as
  // it is now. kConflict: another machine has one of them. kUnsupported: something in the namespace
  // that a guest cannot be given. Nothing is changed after an error.
  static Result<TakenNetwork> take(const std::string& path);
  // The same with the calling thread's namespace.
  static Result<TakenNetwork> take_own();
  TakenNetwork(TakenNetwork&&) noexcept;
  TakenNetwork& operator=(TakenNetwork&&) noexcept;
  // Gives the interfaces back to the host's kernel, as far as they are still there.
  ~TakenNetwork();

  std::vector<Part>& parts() { return parts_; }

  // A source (platform/event_loop.h): something in the namespace has changed since take() or the
  // last call of interfaces().
  Result<void> bind(EventLoop& loop);
  void on_change(Handler handler);
  // As interfaces(), but does not look.
  void forget_changes();
  // The Ethernet interfaces that are up now. Errors: as take().
  Result<std::vector<NetworkInterface>> interfaces();
  // Takes one more, or again.
  Result<Tap> take(const NetworkInterface& interface);
  // Gives it back to the host's kernel, as far as it is still there.
  void give_back(std::uint32_t index);

  // Whether docker's resolver listens in the namespace: on kResolverAddress, at ports of its choice
  // to which the namespace's firewall leads kResolverPort.
  bool has_resolver() const;
  // A socket in the namespace that is connected to it, or is about to be: to UDP (each write() is a
  // datagram, and so is each read()) or TCP.
  Result<Stream> connect_to_resolver(bool datagrams) const;

 private:
  class Kernel;
  TakenNetwork(std::unique_ptr<Kernel> kernel, std::vector<Part> parts);
  std::unique_ptr<Kernel> kernel_;
  std::vector<Part> parts_;
};

}  // namespace runhv::platform
