#include "hv/hresult.h"

#include <algorithm>
#include <array>

namespace runhv::hv {
namespace {

struct Row {
  std::uint32_t hresult;
  Code code;
  const char* meaning;
};

// winerror.h, hypervisor status codes (TLFS appendix B) and VID statuses.
constexpr std::array kRows = {
    Row{0x80004001, Code::kUnsupported, "not implemented"},
    Row{0x80070005, Code::kAccessDenied, "access denied"},
    Row{0x80070006, Code::kHostFailed, "invalid handle"},
    Row{0x8007000e, Code::kOutOfMemory, "out of memory"},
    Row{0x80070057, Code::kHostFailed, "invalid argument, or the wrong state for the call"},
    Row{0x80370300, Code::kUnsupported, "unknown capability: a newer Windows is needed"},
    Row{0x80370301, Code::kHostFailed, "insufficient buffer"},
    Row{0x80370302, Code::kUnsupported,
        "unknown property: Windows 11, Windows Server 2022 or newer is needed"},
    Row{0x80370303, Code::kUnsupported, "unsupported hypervisor configuration"},
    Row{0x80370304, Code::kHostFailed, "invalid partition configuration"},
    Row{0x80370305, Code::kHostFailed, "guest memory range not found"},
    Row{0x80370306, Code::kHostFailed, "the virtual processor exists"},
    Row{0x80370307, Code::kHostFailed, "the virtual processor does not exist"},
    Row{0x80370308, Code::kHostFailed, "invalid state of the virtual processor"},
    Row{0x80370309, Code::kUnsupported, "unknown register"},
    Row{0x80370310, Code::kUnsupported, "unsupported processor configuration"},
    Row{0xc0350005, Code::kHostFailed, "the hypervisor refused a parameter"},
    Row{0xc035000e, Code::kHostFailed, "no such virtual processor"},
    Row{0xc0351000, Code::kHypervisorAbsent, "no hypervisor runs on this host"},
    Row{0xc0370008, Code::kConflict, "this process has another virtual machine with memory"},
    Row{0xc0370009, Code::kHostFailed, "the partition does not exist"},
    Row{0xc037000c, Code::kOutOfMemory, "too many memory ranges"},
};

}  // namespace

Error hresult_error(std::string operation, std::int32_t hresult) {
  const auto value = static_cast<std::uint32_t>(hresult);
  const auto* row = std::ranges::find(kRows, value, &Row::hresult);
  const bool known = row != kRows.end();
  return Error{known ? row->code : Code::kHostFailed, std::move(operation),
               known ? row->meaning : "", Domain::kHresult, hresult};
}

}  // namespace runhv::hv
