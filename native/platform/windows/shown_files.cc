#include "platform/shown_files.h"

namespace runhv::platform {

// No process of Windows has a view of the files that another could take: nobody has to stand by.
Result<int> FirstThread::run(std::function<int()> work) { return work(); }

Result<void> FirstThread::show(const ShownFiles&) {
  return Fail{Error{Code::kUnsupported, "show the container's files",
                    "a process of Windows has no root folder of its own"}};
}

Result<void> FirstThread::do_there(const std::function<Result<void>()>& job) { return job(); }

}  // namespace runhv::platform
