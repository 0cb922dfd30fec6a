#include "oci/network_use.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "platform/network_namespace.h"

namespace runhv::oci {
namespace {

namespace fs = std::filesystem;

// Empty where it cannot be looked at.
std::string network_namespace_of(const std::string& process) {
  std::error_code failure;
  return fs::read_symlink("/proc/" + process + "/ns/net", failure).string();
}

}  // namespace

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
  const std::string process = std::to_string(pid);
  if (network_namespace_of(process) == network_namespace_of("self")) return {};
  std::ifstream file("/proc/" + process + "/net/dev");
  return parse_network_use(
      std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()));
}

}  // namespace runhv::oci
