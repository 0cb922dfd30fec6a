// Headers of a tar archive: POSIX.1-2017 pax, "pax Interchange Format" and "ustar".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace runhv::agent {

inline constexpr std::size_t kTarBlock = 512;

struct TarEntry {
  std::string_view path;  // a folder's ends in '/'
  std::string_view link;  // of kHardLink and kSymbolicLink: the path that it is, or leads to
  char type;
  std::uint32_t mode, uid, gid;
  std::uint64_t size = 0;  // of what follows the header; of a regular file alone
  std::int64_t seconds;
  std::uint32_t nanoseconds;
  std::uint32_t major = 0, minor = 0;
};

namespace tar {
inline constexpr char kFile = '0';
inline constexpr char kHardLink = '1';
inline constexpr char kSymbolicLink = '2';
inline constexpr char kCharacterDevice = '3';
inline constexpr char kBlockDevice = '4';
inline constexpr char kFolder = '5';
inline constexpr char kPipe = '6';
}  // namespace tar

// The extended records of one entry, `LENGTH KEY=VALUE\n` each, in memory of the caller's.
class PaxRecords {
 public:
  PaxRecords(char* room, std::size_t size) : room_(room), size_(size) {}

  // False where there is no room; nothing is added then.
  bool add(std::string_view key, std::string_view value);
  void clear() { used_ = 0; }
  std::string_view view() const { return {room_, used_}; }

 private:
  char* room_;
  std::size_t size_;
  std::size_t used_ = 0;
};

// Adds to `records` what the header has no room for: 9 KiB suffice for paths of 4 KiB. False where
// they have none.
bool add_records(const TarEntry& entry, PaxRecords& records);

// `header` is kTarBlock bytes. Of the entry itself, or with its records' size of what goes before
// it.
void write_header(const TarEntry& entry, char* header);
void write_records_header(std::size_t size, char* header);

}  // namespace runhv::agent
