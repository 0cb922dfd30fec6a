#include "users.h"

#include <string.h>

#include "sys.h"
#include "text.h"

namespace runhv::agent {
namespace {

// The kernel takes a map by one write, of less than a page.
constexpr std::size_t kMaxMapBytes = 4095;

bool write_map(const IdMap& map, int pid, int proc, const char* name, Failure& failure) {
  Text<kMaxMapBytes + 1> text;
  for (std::size_t i = 0; i < map.count; ++i) {
    const runhv_id_range& range = map.ranges[i];
    text.add_number(range.inside).add(" ").add_number(range.outside).add(" ");
    text.add_number(range.count).add("\n");
  }
  if (text.cut()) return failure.set(-E2BIG, "write ", name);
  Text<64> path;
  path.add_number(static_cast<std::uint64_t>(pid)).add("/").add(name);
  const int file = sys::openat(proc, path.c_str(), O_WRONLY);
  if (file < 0) return failure.set(file, "open ", name);
  const long result = sys::write(file, text.c_str(), text.size());
  sys::close(file);
  return result >= 0 || failure.set(result, "write ", name);
}

}  // namespace

void IdMap::set(std::span<const std::byte> records) {
  count = records.size() / sizeof(runhv_id_range);
  memcpy(ranges, records.data(), records.size());
}

std::uint32_t IdMap::outside(std::uint32_t id) const {
  for (std::size_t i = 0; i < count; ++i) {
    const runhv_id_range& range = ranges[i];
    if (id >= range.inside && id - range.inside < range.count) {
      return range.outside + (id - range.inside);
    }
  }
  return id;
}

bool write_maps(const Users& users, int pid, int proc, Failure& failure) {
  return write_map(users.uids, pid, proc, "uid_map", failure) &&
         write_map(users.gids, pid, proc, "gid_map", failure);
}

bool become_root(Failure& failure) {
  long result = sys::setresgid(0);
  if (result == 0) result = sys::setresuid(0);
  return result == 0 || failure.set(result, "become root of the user namespace");
}

}  // namespace runhv::agent
