#include "devices/rtc/rtc.h"

#include <chrono>

namespace runhv::devices {
namespace {

// MC146818A, "Address map" and "Registers". Register 0x32 is the century of the IBM PC AT.
constexpr std::uint8_t kSeconds = 0x00;
constexpr std::uint8_t kMinutes = 0x02;
constexpr std::uint8_t kHours = 0x04;
constexpr std::uint8_t kWeekday = 0x06;
constexpr std::uint8_t kDay = 0x07;
constexpr std::uint8_t kMonth = 0x08;
constexpr std::uint8_t kYear = 0x09;
constexpr std::uint8_t kStatusA = 0x0a;
constexpr std::uint8_t kStatusB = 0x0b;
constexpr std::uint8_t kStatusD = 0x0d;
constexpr std::uint8_t kCentury = 0x32;

constexpr std::uint8_t k32KHzAnd1024Hz = 0x26;  // bit 7, update in progress, is never set
constexpr std::uint8_t k24Hours = 0x02;         // numbers are BCD, no interrupts
constexpr std::uint8_t kValid = 0x80;

std::uint8_t bcd(unsigned value) {
  return static_cast<std::uint8_t>((value / 10 % 10) << 4 | value % 10);
}

}  // namespace

std::uint64_t Rtc::read(std::uint64_t offset, unsigned size_bytes) {
  if (size_bytes != 1) return UINT64_MAX;
  if (offset == 0) return 0xff;  // the index is write-only
  const std::lock_guard lock(mutex_);
  return read_register(index_);
}

bool Rtc::write(std::uint64_t offset, unsigned size_bytes, std::uint64_t value) {
  // The clock is the host's: the guest can choose a register and change none.
  if (offset != 0 || size_bytes != 1) return true;
  const std::lock_guard lock(mutex_);
  index_ = value & 0x7f;  // bit 7 masks NMIs on a PC
  return true;
}

std::uint8_t Rtc::read_register(std::uint8_t index) const {
  using namespace std::chrono;
  const sys_time<nanoseconds> now{nanoseconds(now_ns_())};
  const auto today = floor<days>(now);
  const year_month_day date{today};
  const hh_mm_ss time{floor<seconds>(now - today)};
  const auto year_number = static_cast<unsigned>(static_cast<int>(date.year()));
  switch (index) {
    case kSeconds:
      return bcd(static_cast<unsigned>(time.seconds().count()));
    case kMinutes:
      return bcd(static_cast<unsigned>(time.minutes().count()));
    case kHours:
      return bcd(static_cast<unsigned>(time.hours().count()));
    case kWeekday:
      return bcd(weekday{today}.c_encoding() + 1);
    case kDay:
      return bcd(static_cast<unsigned>(date.day()));
    case kMonth:
      return bcd(static_cast<unsigned>(date.month()));
    case kYear:
      return bcd(year_number % 100);
    case kCentury:
      return bcd(year_number / 100);
    case kStatusA:
      return k32KHzAnd1024Hz;
    case kStatusB:
      return k24Hours;
    case kStatusD:
      return kValid;
    default:
      return 0;
  }
}

}  // namespace runhv::devices
