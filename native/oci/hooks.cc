#include "oci/hooks.h"

#include "platform/child.h"

namespace runhv::oci {

Result<void> run_hooks(const char* point, const std::vector<Hook>& hooks,
                       const control::StoredState& state) {
  for (const Hook& hook : hooks) {
    const std::string operation = std::string("run the ") + point + " hook " + hook.path;
    auto end = platform::run_program({.path = hook.path,
                                      .arguments = hook.arguments,
                                      .environment = hook.environment,
                                      .input = control::oci_state_json(state),
                                      .timeout_ns = hook.timeout_ns});
    if (!end) {
      Error error = std::move(end).error();
      error.operation = operation;
      return Fail{std::move(error)};
    }
    if (end->exit_status == 0) continue;
    return Fail{Error{Code::kHostFailed, operation,
                      "exit status " + std::to_string(end->exit_status) +
                          (end->output.empty() ? "" : ": " + end->output)}};
  }
  return {};
}

}  // namespace runhv::oci
