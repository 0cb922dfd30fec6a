// Where devices leave work that no processor thread may do: what may wait for the host, and what a
// guest could make endless.
#pragma once

#include <functional>

namespace runhv::devices {

class JobQueue {
 public:
  virtual ~JobQueue() = default;
  // Runs `job` soon, after those posted before, on a thread that no guest waits for. False: the
  // host gives no thread, and the job is dropped. Threads: any; a device's lock may be held.
  virtual bool post(std::function<void()> job) = 0;
};

}  // namespace runhv::devices
