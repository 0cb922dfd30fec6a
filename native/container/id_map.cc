#include "container/id_map.h"

#include <algorithm>
#include <cstddef>
#include <sstream>
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

Result<IdMap> parse_id_map(std::string_view text, const std::string& operation) {
  const auto fail = [&](const char* why) {
    return Fail{Error{Code::kInvalidArgument, operation, why}};
  };
  std::istringstream lines{std::string(text)};
  IdMap map;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream numbers(line);
    std::uint64_t inside = 0;
    std::uint64_t outside = 0;
    std::uint64_t count = 0;
    if (!(numbers >> inside >> outside >> count) || inside > kLastId || outside > kLastId ||
        count == 0 || count > kLastId - std::max(inside, outside) + 1) {
      return fail("expected lines of a first user, who that is outside, and how many there are");
    }
    if (map.size() == RUNHV_MAX_ID_RANGES) return fail("it has too many ranges");
    map.push_back({static_cast<std::uint32_t>(inside), static_cast<std::uint32_t>(outside),
                   static_cast<std::uint32_t>(count)});
  }
  return map;
}

std::string id_map_text(const IdMap& map) {
  std::string text;
  for (const runhv_id_range& each : map) {
    text += std::to_string(each.inside) + " " + std::to_string(each.outside) + " " +
            std::to_string(each.count) + "\n";
  }
  return text;
}

bool fits_into_a_write(const IdMap& map) { return id_map_text(map).size() < kPageBytes; }

bool maps(const IdMap& map, std::uint32_t inside) {
  return std::ranges::any_of(map, [inside](const runhv_id_range& range) {
    return inside >= range.inside && inside - range.inside < range.count;
  });
}

}  // namespace runhv::container
