#include "winhv_linux/xsave.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace runhv::winhv_linux {
namespace {

constexpr std::uint32_t kLegacyBytes = 512;
constexpr std::uint32_t kExtendedOffset = 576;  // behind the legacy region and the header
constexpr std::uint64_t kLegacy = 3;            // x87 and SSE
constexpr std::uint64_t kIsCompacted = std::uint64_t{1} << 63;

struct Header {
  std::uint64_t xstate_bv;
  std::uint64_t xcomp_bv;
  std::uint64_t reserved[6];
};
static_assert(kLegacyBytes + sizeof(Header) == kExtendedOffset);

std::uint64_t bit(const XsaveComponent& component) { return std::uint64_t{1} << component.number; }

// Calls place(component, offset) for those of `components` that `present` names, and gives the end
// of the last one.
template <class Place>
std::uint32_t lay_out(const std::vector<XsaveComponent>& components, std::uint64_t present,
                      const Place& place) {
  std::uint32_t end = kExtendedOffset;
  for (const XsaveComponent& component : components) {
    if ((present & bit(component)) == 0) continue;
    if (component.is_aligned) end = (end + 63) & ~std::uint32_t{63};
    place(component, end);
    end += component.size;
  }
  return end;
}

}  // namespace

XsaveLayout::XsaveLayout(std::vector<XsaveComponent> components)
    : components_(std::move(components)),
      standard_bytes_(kExtendedOffset),
      compacted_bytes_(lay_out(components_, all(), [](const auto&, std::uint32_t) {})) {
  for (const XsaveComponent& component : components_) {
    standard_bytes_ = std::max(standard_bytes_, component.offset + component.size);
  }
}

std::uint64_t XsaveLayout::all() const {
  std::uint64_t bits = kLegacy;
  for (const XsaveComponent& component : components_) bits |= bit(component);
  return bits;
}

void XsaveLayout::compact(std::span<const std::byte> standard,
                          std::span<std::byte> compacted) const {
  std::ranges::fill(compacted, std::byte{});
  std::memcpy(compacted.data(), standard.data(), kLegacyBytes);
  Header header{};
  std::memcpy(&header.xstate_bv, standard.data() + kLegacyBytes, sizeof header.xstate_bv);
  header.xstate_bv &= all();
  header.xcomp_bv = kIsCompacted | all();
  std::memcpy(compacted.data() + kLegacyBytes, &header, sizeof header);
  lay_out(components_, all(), [&](const XsaveComponent& component, std::uint32_t offset) {
    std::memcpy(compacted.data() + offset, standard.data() + component.offset, component.size);
  });
}

bool XsaveLayout::expand(std::span<const std::byte> compacted,
                         std::span<std::byte> standard) const {
  if (compacted.size() < kExtendedOffset) return false;
  Header header;
  std::memcpy(&header, compacted.data() + kLegacyBytes, sizeof header);
  const std::uint64_t present = header.xcomp_bv & ~kIsCompacted;
  const bool is_one = (header.xcomp_bv & kIsCompacted) != 0 && (present & ~all()) == 0 &&
                      (header.xstate_bv & ~present) == 0 &&
                      std::ranges::all_of(header.reserved, [](auto word) { return word == 0; });
  const auto nothing = [](const XsaveComponent&, std::uint32_t) {};
  if (!is_one || lay_out(components_, present, nothing) > compacted.size()) return false;

  std::ranges::fill(standard, std::byte{});
  std::memcpy(standard.data(), compacted.data(), kLegacyBytes);
  std::memcpy(standard.data() + kLegacyBytes, &header.xstate_bv, sizeof header.xstate_bv);
  lay_out(components_, present, [&](const XsaveComponent& component, std::uint32_t offset) {
    std::memcpy(standard.data() + component.offset, compacted.data() + offset, component.size);
  });
  return true;
}

}  // namespace runhv::winhv_linux
