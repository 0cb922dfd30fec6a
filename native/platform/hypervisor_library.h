// Where this system has the library that implements the Windows Hypervisor Platform.
#pragma once

#include <string>
#include <vector>

namespace runhv::platform {

struct HypervisorLibrary {
  bool is_the_systems;             // Windows' own; false: ours, over an engine of ours
  std::vector<std::string> paths;  // paths and names to try, in this order
};

HypervisorLibrary hypervisor_library();

}  // namespace runhv::platform
