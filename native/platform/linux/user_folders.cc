#include "platform/user_folders.h"

#include "platform/file.h"
#include "platform/process.h"

namespace runhv::platform {

Result<std::string> runtime_folder(const std::string& program) {
  const std::string runtime = environment("XDG_RUNTIME_DIR");
  // It may name the folder of another login, gone by now.
  if (!runtime.empty() && file_exists(runtime)) return runtime + "/" + program;
  return temporary_directory() + "/" + program + "-" + std::to_string(current_user_id());
}

Result<std::string> data_folder(const std::string& program) {
  // XDG base directories 0.8: a relative path is invalid and to be ignored.
  if (const std::string data = environment("XDG_DATA_HOME"); data.starts_with('/')) {
    return data + "/" + program;
  }
  if (const std::string home = environment("HOME"); !home.empty()) {
    return home + "/.local/share/" + program;
  }
  return Fail{Error{Code::kInvalidArgument, "find the user's folder of data",
                    "neither XDG_DATA_HOME nor HOME is set"}};
}

}  // namespace runhv::platform
