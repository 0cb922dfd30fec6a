#include "control/frame.h"

#include "base/check.h"

namespace runhv::control {
namespace {

Fail<Error> corrupt(const std::string& detail) {
  return Fail{Error{Code::kCorruptInput, "read a control frame", detail}};
}

}  // namespace

void FrameReader::append(std::span<const std::byte> bytes) {
  if (begin_ != 0) {
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
  }
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

Result<std::optional<Frame>> FrameReader::next() {
  const std::span<const std::byte> rest = std::span(bytes_).subspan(begin_);
  runhv_control_frame header;
  if (rest.size() < sizeof header) return std::optional<Frame>();
  std::memcpy(&header, rest.data(), sizeof header);
  if (header.length > max_payload_) {
    return corrupt("a payload of " + std::to_string(header.length) + " bytes; the most is " +
                   std::to_string(max_payload_));
  }
  if (header.handles > RUNHV_CONTROL_MAX_HANDLES) {
    return corrupt(std::to_string(header.handles) + " descriptors; the most is " +
                   std::to_string(RUNHV_CONTROL_MAX_HANDLES));
  }
  if (header.zero != 0) return corrupt("the last field of its header is not zero");
  if (rest.size() - sizeof header < header.length) return std::optional<Frame>();
  const auto payload = rest.subspan(sizeof header, header.length);
  begin_ += sizeof header + header.length;
  return std::optional<Frame>(Frame{header, {payload.begin(), payload.end()}});
}

std::vector<std::byte> encode_frame(std::uint32_t type, std::uint32_t request,
                                    std::span<const std::byte> payload, std::uint16_t handles) {
  RUNHV_CHECK(payload.size() <= RUNHV_CONTROL_MAX_PAYLOAD);
  runhv_control_frame header{};
  header.length = static_cast<std::uint32_t>(payload.size());
  header.type = static_cast<std::uint16_t>(type);
  header.handles = handles;
  header.request = request;
  std::vector<std::byte> bytes(sizeof header + payload.size());
  std::memcpy(bytes.data(), &header, sizeof header);
  if (!payload.empty()) std::memcpy(bytes.data() + sizeof header, payload.data(), payload.size());
  return bytes;
}

}  // namespace runhv::control
