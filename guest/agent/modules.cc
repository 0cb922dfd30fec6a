#include "modules.h"

#include <cstddef>
#include <string_view>

#include "sys.h"
#include "text.h"

namespace runhv::agent {
namespace {

constexpr char kOrder[] = "/modules/order";
constexpr std::size_t kOrderBytes = 4096;  // what the host writes at most (docs/limits.md)

bool load_module(std::string_view name, Failure& failure) {
  const Text<256> path = Text<256>("/modules/").add(name);
  const int file = sys::open(path.c_str(), O_RDONLY);
  if (file < 0) return failure.set(file, "open the module ", path.view());
  const long result = sys::finit_module(file, "", 0);
  sys::close(file);
  if (result < 0) return failure.set(result, "load the module ", path.view());
  sys::unlink(path.c_str());
  return true;
}

}  // namespace

bool load_modules(Failure& failure) {
  const int file = sys::open(kOrder, O_RDONLY);
  if (file == -ENOENT) return true;
  if (file < 0) return failure.set(file, "open ", kOrder);
  char order[kOrderBytes];
  const long size = sys::read(file, order, sizeof order);
  sys::close(file);
  if (size < 0) return failure.set(size, "read ", kOrder);
  std::string_view rest(order, static_cast<std::size_t>(size));
  for (std::size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    if (!load_module(rest.substr(0, end), failure)) return false;
    rest.remove_prefix(end + 1);
  }
  return true;
}

}  // namespace runhv::agent
