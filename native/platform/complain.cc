#include "platform/complain.h"

#include "base/text.h"
#include "platform/lossy_writer.h"

namespace runhv::platform {

int complain(const std::string& text) {
  lossy_stderr().write("runhv: " + escape_controls(text) + "\n", kStderrPatienceNs);
  return kOurFailure;
}

int complain(const Error& error) { return complain(to_string(error)); }

}  // namespace runhv::platform
