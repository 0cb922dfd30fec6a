// What the control channel can ask of a container, as runhv.h has it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "container/container.h"
#include "runhv/runhv.h"

namespace runhv::control {

// On the loop's thread; none blocks. Before there is a container every one but state() is an error.
class Requests {
 public:
  virtual runhv_state state() = 0;
  virtual Result<runhv_statistics> statistics() = 0;
  virtual Result<void> start() = 0;
  virtual Result<void> signal(container::ProcessNumber process, int signal) = 0;
  virtual Result<void> stop(int signal, std::uint32_t grace_ms) = 0;
  virtual Result<void> pause() = 0;
  virtual Result<void> resume() = 0;
  virtual Result<container::ProcessNumber> start_process(container::ProcessConfig config) = 0;
  // `config` has neither the bundle nor its text: they are found by its id.
  virtual Result<container::ProcessNumber> join(container::JoinConfig config) = 0;
  virtual Result<void> resize(container::ProcessNumber process, std::uint16_t columns,
                              std::uint16_t rows) = 0;
  virtual Result<void> update(container::ProcessNumber which, std::string_view json,
                              container::UpdateDone done) = 0;
  virtual Result<void> attach(container::ProcessNumber process, int stream,
                              std::optional<platform::Stream> end) = 0;

 protected:
  ~Requests() = default;
};

}  // namespace runhv::control
