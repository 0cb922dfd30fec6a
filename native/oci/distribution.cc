#include "oci/distribution.h"

#include <filesystem>

#include "platform/file.h"
#include "platform/process.h"

namespace runhv::oci {
namespace {

bool is_distribution(const std::string& home) {
  return platform::file_exists(home + "/bin/runhv-vmm");
}

}  // namespace

Result<std::string> distribution() {
  RUNHV_TRY_ASSIGN(const std::string bin, platform::executable_directory());
  std::string home = std::filesystem::path(bin).parent_path().string();
  if (is_distribution(home)) return home;
  home = platform::environment("RUNHV_HOME");
  if (!home.empty() && is_distribution(home)) return home;
  return Fail{Error{Code::kNotFound, "find the distribution of runhv",
                    home.empty() ? bin + " is not its folder bin, and RUNHV_HOME does not name it"
                                 : "RUNHV_HOME: " + home + " has no bin/runhv-vmm"}};
}

}  // namespace runhv::oci
