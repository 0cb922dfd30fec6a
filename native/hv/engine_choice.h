// Which library serves an engine on this system. Internal to hv/.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace runhv::hv {

struct EngineChoice {
  std::string engine;                  // "auto": the library chooses
  std::vector<std::string> libraries;  // paths and names to try, in this order
};

Result<EngineChoice> choose_engine(const std::string& engine);

}  // namespace runhv::hv
