#include "vmm_main/distribution_files.h"

#include "platform/file.h"
#include "platform/process.h"

namespace runhv::vmm_main {

Result<std::string> share_directory() {
  std::string directory = platform::environment("RUNHV_SHARE");
  if (!directory.empty()) return directory;
  RUNHV_TRY_ASSIGN(directory, platform::executable_directory());
  return directory + "/../share/runhv";
}

}  // namespace runhv::vmm_main
