#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace runhv {

void check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "runhv: internal error: %s (%s:%d). Please report this.\n", expression, file,
               line);
  std::fflush(stderr);
  std::_Exit(70);
}

}  // namespace runhv
