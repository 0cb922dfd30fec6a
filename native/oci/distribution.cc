#include "oci/distribution.h"

#include <filesystem>

#include "platform/file.h"
#include "platform/path.h"
#include "platform/process.h"

namespace runhv::oci {
namespace {

bool is_distribution(const std::string& home) { return platform::file_exists(vmm_program(home)); }

}  // namespace

std::string vmm_program(const std::string& home) {
  return home + "/bin/" + platform::program_file("runhv-vmm");
}

Result<std::string> distribution() {
  RUNHV_TRY_ASSIGN(const std::string bin, platform::executable_directory());
  std::string home = platform::path_text(platform::filesystem_path(bin).parent_path());
  if (is_distribution(home)) return home;
  home = platform::environment("RUNHV_HOME");
  if (!home.empty() && is_distribution(home)) return home;
  return Fail{Error{Code::kNotFound, "find the distribution of runhv",
                    home.empty() ? bin + " is not its folder bin, and RUNHV_HOME does not name it"
                                 : "RUNHV_HOME: " + home + " has no bin/runhv-vmm"}};
}

}  // namespace runhv::oci
