#include "container/id_map.h"

#include <algorithm>
#include <cstddef>
#include <string>

namespace runhv::container {
namespace {

constexpr std::uint32_t kLastId = UINT32_MAX - 1;  // the last one is nobody: user_namespaces(7)

constexpr std::size_t kPageBytes = 4096;

std::uint32_t read_id(const JsonNode& range, const char* name) {
  return static_cast<std::uint32_t>(range[name].required("a number").unsigned_integer(0, kLastId));
}

bool overlap(std::uint32_t one, std::uint32_t other, const runhv_id_range& first,
             const runhv_id_range& second) {
  return std::uint64_t{one} < std::uint64_t{other} + second.count &&
         std::uint64_t{other} < std::uint64_t{one} + first.count;
}

}  // namespace

IdMap read_id_map(const JsonNode& node) {
  IdMap map;
  for (const JsonNode& element : node.elements()) {
    if (map.size() == RUNHV_MAX_ID_RANGES) {
      node.complain("it has more than " + std::to_string(RUNHV_MAX_ID_RANGES) +
                    " ranges, which is all that the kernel takes");
      break;
    }
    runhv_id_range range{};
    range.inside = read_id(element, "containerID");
    range.outside = read_id(element, "hostID");
    const std::uint64_t room = kLastId - std::max(range.inside, range.outside) + std::uint64_t{1};
    range.count =
        static_cast<std::uint32_t>(element["size"].required("a number").unsigned_integer(1, room));
    for (const runhv_id_range& each : map) {
      if (overlap(each.inside, range.inside, each, range)) {
        element["containerID"].complain("the range overlaps with one before it");
      } else if (overlap(each.outside, range.outside, each, range)) {
        element["hostID"].complain("the range overlaps with one before it");
      }
    }
    map.push_back(range);
  }
  return map;
}

bool fits_into_a_write(const IdMap& map) {
  std::size_t bytes = 0;
  for (const runhv_id_range& each : map) {
    bytes += std::to_string(each.inside).size() + std::to_string(each.outside).size() +
             std::to_string(each.count).size() + 3;
  }
  return bytes < kPageBytes;
}

bool maps(const IdMap& map, std::uint32_t inside) {
  return std::ranges::any_of(map, [inside](const runhv_id_range& range) {
    return inside >= range.inside && inside - range.inside < range.count;
  });
}

}  // namespace runhv::container
