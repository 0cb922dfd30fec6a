// runhv-vmm --probe ENGINE: what `runhv doctor` asks of each engine, in a process of its own, which
// an engine may crash or hang.
#pragma once

#include <span>
#include <string_view>

namespace runhv::vmm_main {

inline constexpr std::string_view kProbe = "--probe";

// Writes a line of JSON for each stage, {"stage": NAME, "ns": NUMBER}, and one for what fails,
// {"code": NUMBER, "operation": TEXT, "detail": TEXT, "domain": NUMBER, "os_code": NUMBER}. The
// exit status is 0 where nothing does. `arguments`: after kProbe.
int probe(std::span<const std::string_view> arguments);

}  // namespace runhv::vmm_main
