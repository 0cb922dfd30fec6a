#include "tar_header.h"

#include <cstring>

#include "text.h"

namespace runhv::agent {
namespace {

// Where the fields begin, and how long they are (POSIX.1-2017, "ustar Header Block").
struct Field {
  std::size_t at, size;
};
constexpr Field kNameField{0, 100};
constexpr Field kModeField{100, 8};
constexpr Field kUidField{108, 8};
constexpr Field kGidField{116, 8};
constexpr Field kSizeField{124, 12};
constexpr Field kTimeField{136, 12};
constexpr Field kChecksumField{148, 8};
constexpr Field kTypeField{156, 1};
constexpr Field kLinkField{157, 100};
constexpr Field kMagicField{257, 8};
constexpr Field kMajorField{329, 8};
constexpr Field kMinorField{337, 8};

// Octal, with a NUL behind.
constexpr std::uint64_t most(Field field) { return (std::uint64_t{1} << 3 * (field.size - 1)) - 1; }

void put_text(char* header, Field field, std::string_view text) {
  memcpy(header + field.at, text.data(), text.size() < field.size ? text.size() : field.size);
}

void put_number(char* header, Field field, std::uint64_t value) {
  if (value > most(field)) value = 0;  // a record says it
  for (std::size_t i = field.size - 1; i-- > 0; value >>= 3) {
    header[field.at + i] = static_cast<char>('0' + (value & 7));
  }
}

bool is_plain(std::string_view text, Field field) { return text.size() <= field.size; }

bool add_number(PaxRecords& records, std::string_view key, std::uint64_t value, Field field) {
  return value <= most(field) || records.add(key, Text<24>().add_number(value).view());
}

bool add_time(PaxRecords& records, const TarEntry& entry) {
  const bool fits =
      entry.seconds >= 0 && static_cast<std::uint64_t>(entry.seconds) <= most(kTimeField);
  if (fits && entry.nanoseconds == 0) return true;
  Text<48> text;
  std::uint64_t seconds = static_cast<std::uint64_t>(entry.seconds);
  std::uint32_t nanoseconds = entry.nanoseconds;
  if (entry.seconds < 0) {
    // The nanoseconds count upwards from the second before: -1.25 is -2 and 750,000,000 of them.
    text.add("-");
    seconds = -seconds - (nanoseconds != 0 ? 1 : 0);
    nanoseconds = nanoseconds != 0 ? 1'000'000'000 - nanoseconds : 0;
  }
  text.add_number(seconds).add(".");
  for (std::uint32_t digit = 100'000'000; digit != 0; digit /= 10) {
    text.add_number(nanoseconds / digit % 10);
  }
  return records.add("mtime", text.view());
}

void finish(char* header) {
  memcpy(header + kMagicField.at,
         "ustar\0"
         "00",
         kMagicField.size);
  memset(header + kChecksumField.at, ' ', kChecksumField.size);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kTarBlock; ++i) sum += static_cast<unsigned char>(header[i]);
  put_number(header, {kChecksumField.at, kChecksumField.size - 1}, sum);
  header[kChecksumField.at + kChecksumField.size - 2] = '\0';
}

std::size_t digits_of(std::size_t value) {
  std::size_t count = 1;
  while (value >= 10) {
    value /= 10;
    ++count;
  }
  return count;
}

}  // namespace

bool PaxRecords::add(std::string_view key, std::string_view value) {
  // LENGTH counts itself.
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + digits_of(rest);
  if (digits_of(length) != digits_of(rest)) ++length;
  if (length > size_ - used_) return false;
  const Text<24> number(Text<24>().add_number(length));
  char* at = room_ + used_;
  const auto put = [&](std::string_view text) {
    memcpy(at, text.data(), text.size());
    at += text.size();
  };
  put(number.view());
  put(" ");
  put(key);
  put("=");
  put(value);
  put("\n");
  used_ += length;
  return true;
}

bool add_records(const TarEntry& entry, PaxRecords& records) {
  return (is_plain(entry.path, kNameField) || records.add("path", entry.path)) &&
         (is_plain(entry.link, kLinkField) || records.add("linkpath", entry.link)) &&
         add_number(records, "uid", entry.uid, kUidField) &&
         add_number(records, "gid", entry.gid, kGidField) &&
         add_number(records, "size", entry.size, kSizeField) && add_time(records, entry);
}

void write_header(const TarEntry& entry, char* header) {
  memset(header, 0, kTarBlock);
  put_text(header, kNameField, entry.path);
  put_text(header, kLinkField, entry.link);
  put_number(header, kModeField, entry.mode & 07777);
  put_number(header, kUidField, entry.uid);
  put_number(header, kGidField, entry.gid);
  put_number(header, kSizeField, entry.size);
  put_number(header, kTimeField, entry.seconds < 0 ? 0 : static_cast<std::uint64_t>(entry.seconds));
  put_number(header, kMajorField, entry.major);
  put_number(header, kMinorField, entry.minor);
  header[kTypeField.at] = entry.type;
  finish(header);
}

void write_records_header(std::size_t size, char* header) {
  memset(header, 0, kTarBlock);
  put_text(header, kNameField, "PaxHeader");
  put_number(header, kModeField, 0644);
  put_number(header, kUidField, 0);
  put_number(header, kGidField, 0);
  put_number(header, kSizeField, size);
  put_number(header, kTimeField, 0);
  header[kTypeField.at] = 'x';
  finish(header);
}

}  // namespace runhv::agent
