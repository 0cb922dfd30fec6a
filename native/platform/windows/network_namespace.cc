#include "platform/network_namespace.h"

#include "base/check.h"

namespace runhv::platform {

// There is none: take() makes none.
class TakenNetwork::Kernel {};

TakenNetwork::TakenNetwork(std::unique_ptr<Kernel> kernel, std::vector<Part> parts)
    : kernel_(std::move(kernel)), parts_(std::move(parts)) {}
TakenNetwork::TakenNetwork(TakenNetwork&&) noexcept = default;
TakenNetwork& TakenNetwork::operator=(TakenNetwork&&) noexcept = default;
TakenNetwork::~TakenNetwork() = default;

Result<TakenNetwork> TakenNetwork::take(const std::string& path) {
  return Fail{Error{Code::kUnsupported, "take network namespace " + path,
                    "Windows has none: leave it out, and the container has a loopback"}};
}

Result<TakenNetwork> TakenNetwork::take_own() { return take("of this process"); }

Result<void> TakenNetwork::bind(EventLoop&) { RUNHV_CHECK(false); }
void TakenNetwork::on_change(Handler) { RUNHV_CHECK(false); }
void TakenNetwork::forget_changes() { RUNHV_CHECK(false); }
Result<std::vector<NetworkInterface>> TakenNetwork::interfaces() { RUNHV_CHECK(false); }
Result<Tap> TakenNetwork::take(const NetworkInterface&) { RUNHV_CHECK(false); }
void TakenNetwork::give_back(std::uint32_t) { RUNHV_CHECK(false); }
bool TakenNetwork::has_resolver() const { RUNHV_CHECK(false); }
Result<Stream> TakenNetwork::connect_to_resolver(bool) const { RUNHV_CHECK(false); }

}  // namespace runhv::platform
