// A network for device tests: what the guest sends is kept, what it is to get is queued.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "devices/net/net_backend.h"

namespace runhv::testing {

class FakeNetBackend final : public devices::NetBackend {
 public:
  void on_ready(std::function<void()> handler) override { ready = std::move(handler); }
  void set_guest_offloads(const devices::NetOffloads& wanted) override { offloads = wanted; }

  bool send(std::span<const std::span<const std::byte>> parts) override {
    if (sent.size() >= takes) return false;
    std::string frame;
    for (const auto& part : parts) {
      frame.append(reinterpret_cast<const char*>(part.data()), part.size());
    }
    sent.push_back(std::move(frame));
    return true;
  }

  std::size_t receive(std::span<const std::span<std::byte>> parts) override {
    if (to_guest.empty()) return 0;
    const std::string frame = std::move(to_guest.front());
    to_guest.pop_front();
    std::string_view rest = frame;
    for (const auto& part : parts) {
      const std::string_view piece = rest.substr(0, part.size());
      std::copy(piece.begin(), piece.end(), reinterpret_cast<char*>(part.data()));
      rest.remove_prefix(piece.size());
    }
    return frame.size() - rest.size();
  }

  std::function<void()> ready;
  devices::NetOffloads offloads;
  std::vector<std::string> sent;
  std::size_t takes = SIZE_MAX;  // so many frames, then there is no room
  std::deque<std::string> to_guest;
};

}  // namespace runhv::testing
