#include "platform/user_folders.h"

#include "platform/path.h"
#include "platform/process.h"

namespace runhv::platform {
namespace {

// FOLDERID_LocalAppData as the environment has it: to ask the shell would load half of the desktop.
Result<std::string> local_folder(const std::string& program) {
  const std::string local = environment("LOCALAPPDATA");
  if (is_absolute_path(local)) return local + "\\" + program;
  return Fail{
      Error{Code::kInvalidArgument, "find the user's folder of data",
            local.empty() ? "LOCALAPPDATA is not set" : "LOCALAPPDATA is no absolute path"}};
}

}  // namespace

Result<std::string> runtime_folder(const std::string& program) {
  RUNHV_TRY_ASSIGN(const std::string folder, local_folder(program));
  return folder + "\\run";
}

Result<std::string> data_folder(const std::string& program) {
  RUNHV_TRY_ASSIGN(const std::string folder, local_folder(program));
  return folder + "\\data";
}

}  // namespace runhv::platform
