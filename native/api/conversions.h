// A container's values as the structures of runhv.h, for the C interface and the control channel.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "api/abi.h"
#include "container/container.h"

namespace runhv::api {

runhv_exit_status to_abi(const container::ExitStatus& status);

// With `end` as Container::end() gives it: the code, the status and the error where there is one.
// A container that failed on its way has an exit status of 125, as runhv-vmm has.
struct AbiEnd {
  std::int32_t code = RUNHV_OK;
  runhv_exit_status status = sized<runhv_exit_status>();
  runhv_error error = sized<runhv_error>();
};
AbiEnd to_abi(const Result<container::ExitStatus>& end);

runhv_state to_abi(const std::string& id, const container::ContainerState& state,
                   const std::optional<Result<container::ExitStatus>>& end);

runhv_statistics to_abi(const container::ContainerStatistics& statistics);

// Turns what happens to a container into runhv_event.
class AbiEvents : public container::ContainerEvents {
 public:
  // On the loop's thread.
  virtual void on_event(const runhv_event& event) = 0;

  void on_created() final;
  void on_started() final;
  void on_process_started(container::ProcessNumber process) final;
  void on_process_ended(container::ProcessNumber process,
                        const container::ExitStatus& status) final;
  void on_out_of_memory(std::uint32_t kills) final;
  void on_paused() final;
  void on_resumed() final;
  void on_warning(container::ProcessNumber process, const Error& warning) final;
  void on_ended(const Result<container::ExitStatus>& end) final;

 protected:
  ~AbiEvents() = default;
};

runhv_event ended_event(const Result<container::ExitStatus>& end);

}  // namespace runhv::api
