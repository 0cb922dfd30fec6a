#include "conformance/newer_calls.h"

#include <optional>
#include <utility>

#include "platform/hypervisor_library.h"
#include "platform/library.h"

namespace runhv::conformance {
namespace {

NewerCalls look_up() {
  NewerCalls calls;
  for (const std::string& path : platform::hypervisor_library().paths) {
    auto library = platform::Library::open(path);
    if (!library) continue;
#define RUNHV_NEWER_FIND(member, name) \
  calls.member = reinterpret_cast<decltype(calls.member)>(library->find(#name));
    RUNHV_NEWER_CALLS(RUNHV_NEWER_FIND)
#undef RUNHV_NEWER_FIND
    // The program is linked to the same library, so closing this one leaves it loaded.
    break;
  }
  return calls;
}

}  // namespace

const NewerCalls& newer_calls() {
  static const NewerCalls calls = look_up();
  return calls;
}

}  // namespace runhv::conformance
