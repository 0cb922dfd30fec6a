#include "oci/network_use.h"

#include <fstream>
#include <iterator>
#include <sstream>

#include "platform/file_node.h"
#include "platform/network_namespace.h"

namespace runhv::oci {

std::vector<InterfaceUse> parse_network_use(std::string_view text) {
  std::vector<InterfaceUse> found;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.rfind(':');
    const std::size_t first = line.find_first_not_of(' ');
    if (colon == std::string::npos || first >= colon) continue;
    InterfaceUse use;
    use.name = line.substr(first, colon - first);
    if (use.name == "lo" || use.name.starts_with(platform::kTapPrefix)) continue;
    std::istringstream numbers(line.substr(colon + 1));
    auto& [bytes, packets, errors, dropped] = use.received;
    numbers >> bytes >> packets >> errors >> dropped;
    // fifo, frame, compressed, multicast
    for (std::uint64_t other = 0, i = 0; i < 4; ++i) numbers >> other;
    numbers >> use.sent.bytes >> use.sent.packets >> use.sent.errors >> use.sent.dropped;
    if (numbers) found.push_back(std::move(use));
  }
  return found;
}

std::vector<InterfaceUse> network_use(std::uint64_t pid) {
  const std::string process = "/proc/" + std::to_string(pid);
  if (platform::identity_of(process + "/ns/net") == platform::identity_of("/proc/self/ns/net")) {
    return {};
  }
  std::ifstream file(process + "/net/dev");
  return parse_network_use(
      std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()));
}

}  // namespace runhv::oci
