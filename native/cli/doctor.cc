#include "cli/doctor.h"

#include <rapidjson/document.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/text.h"
#include "cli/java_runtime.h"
#include "cli/prepare.h"
#include "container/json_writer.h"
#include "oci/distribution.h"
#include "platform/child.h"
#include "platform/file.h"

namespace runhv::cli {
namespace {

using platform::HostFacts;

// The probe gives up by itself after 65 s: this is for one that cannot.
constexpr std::uint64_t kProbeNs = 90'000'000'000;
// The first Windows with the feature, 1803; the first whose hypervisor gives a guest what ours asks
// for (docs/whp-contract.md).
constexpr std::uint32_t kFirstBuildWithWhp = 17134;
constexpr std::uint32_t kFirstBuildForUs = 20348;
// A machine of 128 MiB, of which a small program touches a third, and its process.
constexpr std::uint64_t kUsualMemoryBytes = 64ull << 20;

constexpr const char* kEnableFeature =
    "as an administrator: dism /Online /Enable-Feature /FeatureName:HypervisorPlatform /All; then "
    "restart Windows";
constexpr const char* kAnyway = " Containers run on engine soft until then, slower.";

Error parsed_error(const rapidjson::Value& line) {
  const auto text = [&](const char* name) {
    const auto member = line.FindMember(name);
    return member != line.MemberEnd() && member->value.IsString()
               ? std::string(member->value.GetString(), member->value.GetStringLength())
               : std::string();
  };
  const auto number = [&](const char* name) -> std::int64_t {
    const auto member = line.FindMember(name);
    return member != line.MemberEnd() && member->value.IsInt64() ? member->value.GetInt64() : 0;
  };
  return {static_cast<Code>(number("code")), text("operation"), text("detail"),
          static_cast<Domain>(number("domain")), number("os_code")};
}

void take_line(std::string_view text, ProbedEngine& engine) {
  rapidjson::Document line;
  line.Parse(text.data(), text.size());
  if (line.HasParseError() || !line.IsObject()) return;  // said by a library, not by the probe
  if (line.HasMember("code")) {
    engine.failure = parsed_error(line);
  } else if (line.HasMember("stage") && line["stage"].IsString() && line.HasMember("ns") &&
             line["ns"].IsUint64()) {
    engine.stages.push_back({line["stage"].GetString(), line["ns"].GetUint64()});
  }
}

bool has_stage(const ProbedEngine& engine, std::string_view name) {
  return std::ranges::find(engine.stages, name, &ProbedStage::name) != engine.stages.end();
}

Advice out_of_memory() {
  return {"no-memory", "the host gives this user no more memory",
          "end other programs, or look at ulimit -v and at the memory limit of the cgroup; "
          "-m says how much a container takes"};
}

Advice no_nested_virtualization(const std::string& how) {
  return {"no-nested-virtualization",
          "this is a virtual machine, and its processor does not offer virtualization to it",
          "allow nested virtualization where this machine is configured " + how};
}

std::optional<Advice> advise_on_kvm(const HostFacts& host, const ProbedEngine& engine) {
  if (host.kvm_errno == EACCES || host.kvm_errno == EPERM) {
    return Advice{"kvm-rights", "this user may not open /dev/kvm",
                  std::string("sudo usermod -aG kvm \"$USER\", and log in again; in a container, "
                              "give it the device with its group.") +
                      kAnyway};
  }
  if (host.kvm_errno != 0 && !host.has_virtualization && host.has_hypervisor) {
    Advice advice = no_nested_virtualization("(QEMU: -cpu host; clouds: by the machine's type).");
    advice.remedy += kAnyway;
    return advice;
  }
  if (host.kvm_errno != 0 && !host.has_virtualization) {
    return Advice{"firmware-off", "the processor offers no virtualization",
                  std::string("allow VT-x or AMD-V (SVM) in the firmware's settings.") + kAnyway};
  }
  if (host.kvm_errno != 0) {
    return Advice{
        "kvm-absent", "the kernel has no /dev/kvm here",
        std::string("modprobe kvm_intel or kvm_amd; in a container, give it /dev/kvm.") + kAnyway};
  }
  const bool guest_failed = has_stage(engine, "partition");
  if (guest_failed && engine.failure->code != Code::kOutOfMemory) {
    return Advice{
        "kvm-emulates",
        "/dev/kvm opens, but a guest does not come on as on a processor: it may only "
        "emulate one",
        std::string("ask whoever runs this machine for real nested virtualization.") + kAnyway};
  }
  return std::nullopt;
}

std::optional<Advice> advise_on_whp(const HostFacts& host, const ProbedEngine& engine) {
  if (host.system != HostFacts::System::kWindows) {
    return Advice{"other-system", "the Windows Hypervisor Platform is a feature of Windows",
                  "use another engine"};
  }
  const std::string build = "Windows build " + std::to_string(host.windows_build);
  const Code code = engine.failure->code;
  if (host.windows_build < kFirstBuildWithWhp ||
      (code == Code::kUnsupported && host.windows_build < kFirstBuildForUs)) {
    return Advice{"build-too-old", build + " has not all that is asked for",
                  "Windows 11, Windows Server 2022 or newer is needed"};
  }
  if (code == Code::kNotFound && !host.edition_has_feature) {
    return Advice{"edition", "this edition of Windows has no Windows Hypervisor Platform",
                  "an edition for desktops or servers is needed"};
  }
  if (code == Code::kNotFound) {
    return Advice{"feature-absent", "the feature Windows Hypervisor Platform is off",
                  kEnableFeature};
  }
  if (code == Code::kAccessDenied) {
    return Advice{"access-denied", "this process may not make a partition",
                  "run it as a usual user outside of a sandbox or of a Windows container; where "
                  "that fails as well, " +
                      std::string(kEnableFeature)};
  }
  if (code != Code::kHypervisorAbsent) return std::nullopt;
  // Where it is there for the first question and not for the second, only the feature is off.
  if (has_stage(engine, "library")) {
    return Advice{"feature-absent",
                  "a hypervisor runs, but the feature Windows Hypervisor Platform is off",
                  kEnableFeature};
  }
  if (host.has_hypervisor) {
    return no_nested_virtualization(
        "(Hyper-V: Set-VMProcessor -VMName NAME -ExposeVirtualizationExtensions $true; Azure: by "
        "the machine's size)");
  }
  if (!host.firmware_allows_virtualization) {
    return Advice{"firmware-off", "virtualization is off in the firmware",
                  "allow VT-x or AMD-V (SVM) in the firmware's settings"};
  }
  return Advice{"hypervisor-off", "Windows was started without its hypervisor",
                "as an administrator: bcdedit /set hypervisorlaunchtype auto; then restart "
                "Windows"};
}

std::optional<Advice> advise_on_soft(const ProbedEngine& engine) {
  if (engine.failure->code == Code::kNotFound || engine.failure->code == Code::kHypervisorAbsent) {
    return Advice{"engine-missing", "the software CPU's library cannot be opened",
                  "install runhv again; where RUNHV_SOFTCPU or RUNHV_WINHV is set, it must name "
                  "the library"};
  }
  return std::nullopt;
}

}  // namespace

ProbedEngine read_probe(std::string_view name, std::string_view output,
                        std::optional<int> exit_status) {
  ProbedEngine engine;
  engine.engine = name;
  while (!output.empty()) {
    const std::size_t end = std::min(output.find('\n'), output.size());
    take_line(output.substr(0, end), engine);
    output.remove_prefix(std::min(end + 1, output.size()));
  }
  const std::string operation = "probe engine " + engine.engine;
  if (!exit_status) {
    engine.failure = Error{Code::kTimedOut, operation, "it did not end, and was killed"};
  } else if (*exit_status != 0 && !engine.failure) {
    engine.failure = Error{Code::kHostFailed, operation,
                           *exit_status > 128
                               ? "signal " + std::to_string(*exit_status - 128) + " ended it"
                               : "exit status " + std::to_string(*exit_status) + ", and no reason"};
  }
  return engine;
}

std::optional<Advice> advise(const HostFacts& host, const ProbedEngine& engine) {
  if (!engine.failure) return std::nullopt;
  if (engine.failure->code == Code::kOutOfMemory) return out_of_memory();
  if (engine.engine == "kvm") return advise_on_kvm(host, engine);
  if (engine.engine == "whp") return advise_on_whp(host, engine);
  return advise_on_soft(engine);
}

std::optional<Advice> advise_on_java(const Result<std::string>& java) {
  if (java) return std::nullopt;
  return Advice{"no-java", to_string(java.error()),
                "install a JDK of version " + std::to_string(kLeastJava) +
                    " or newer and set JAVA_HOME; bundles run without one"};
}

Result<void> check_store(const std::string& store) {
  if (!platform::file_exists(store)) return {};
  // As every command that uses the store does it.
  const std::string locks = store + "/locks";
  if (!platform::file_exists(locks)) RUNHV_TRY(platform::make_private_directory(locks));
  RUNHV_TRY(platform::lock_shared(locks + "/use"));
  return {};
}

std::optional<Advice> advise_on_store(const Result<std::string>& store) {
  if (store) return std::nullopt;
  const Code code = store.error().code;
  std::string remedy =
      "move it away, and images are fetched again; RUNHV_STORE names another place";
  if (code == Code::kAccessDenied) remedy = "give it to this user, or name another by RUNHV_STORE";
  if (code == Code::kNoSpace) remedy = "make room: runhv prune removes what no container uses";
  return Advice{"store-broken", to_string(store.error()), remedy};
}

std::optional<Advice> advise_on_memory(const HostFacts& host) {
  if (host.available_memory_bytes == 0 || host.available_memory_bytes >= kUsualMemoryBytes) {
    return std::nullopt;
  }
  return out_of_memory();
}

bool Diagnosis::can_run_images() const {
  const bool engine_works =
      std::ranges::any_of(engines, [](const ProbedEngine& each) { return !each.failure; });
  return engine_works && java && store && !advise_on_memory(host);
}

// --- what is printed -----------------------------------------------------------------------------

namespace {

std::string padded(std::string text) {
  constexpr std::size_t kColumn = 14;
  text.resize(std::max(text.size() + 1, kColumn), ' ');
  return text;
}

std::string milliseconds(std::uint64_t ns) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f ms", static_cast<double>(ns) / 1e6);
  return text;
}

std::string advice_lines(const std::optional<Advice>& advice) {
  if (!advice) return "";
  return padded("") + "why: " + advice->why + "\n" + padded("") + "do:  " + advice->remedy + "\n";
}

std::string stages_text(const ProbedEngine& engine) {
  std::string text;
  for (const ProbedStage& stage : engine.stages) {
    text += (text.empty() ? "" : ", ") + stage.name + " " + milliseconds(stage.ns);
  }
  return text;
}

std::string engine_lines(const ProbedEngine& engine) {
  const std::string stages = stages_text(engine);
  const std::string name = padded("engine " + engine.engine);
  if (!engine.failure) return name + "works: " + stages + "\n";
  return name + "does not work: " + escape_controls(to_string(*engine.failure)) + "\n" +
         (stages.empty() ? "" : padded("") + "came through: " + stages + "\n") +
         advice_lines(engine.advice);
}

std::string found_lines(const char* what, const Result<std::string>& found,
                        const std::optional<Advice>& advice) {
  if (found) return padded(what) + escape_controls(*found) + "\n";
  return padded(what) + "cannot be used\n" + advice_lines(advice);
}

std::string confinement_lines(const platform::ConfinementSupport& support) {
  std::string text = padded("confined") + support.has + "\n";
  if (!support.lacks.empty()) text += padded("") + "not: " + support.lacks + "\n";
  return text;
}

void write_advice(container::JsonWriter& json, const std::optional<Advice>& advice) {
  if (!advice) return;
  json.member("cause", advice->cause);
  json.member("why", advice->why);
  json.member("remedy", advice->remedy);
}

void write_engine(container::JsonWriter& json, const ProbedEngine& engine) {
  json.object([&] {
    json.member("engine", engine.engine);
    json.member("works", !engine.failure);
    json.object("stages_ns", [&] {
      for (const ProbedStage& stage : engine.stages) json.member(stage.name, stage.ns);
    });
    if (engine.failure) json.member("error", to_string(*engine.failure));
    write_advice(json, engine.advice);
  });
}

void write_found(container::JsonWriter& json, const char* name, const Result<std::string>& found,
                 const std::optional<Advice>& advice) {
  json.object(name, [&] {
    json.member("works", found.has_value());
    if (found) json.member("path", *found);
    write_advice(json, advice);
  });
}

}  // namespace

std::string to_text(const Diagnosis& diagnosis) {
  const HostFacts& host = diagnosis.host;
  std::string text = padded("runhv") + diagnosis.version + " on " + host.name + ", " +
                     std::to_string(host.processors) + " processors, " +
                     std::to_string(host.available_memory_bytes >> 20) + " MiB of memory free\n";
  text += advice_lines(advise_on_memory(host));
  for (const ProbedEngine& engine : diagnosis.engines) text += engine_lines(engine);
  text += found_lines("java", diagnosis.java, advise_on_java(diagnosis.java));
  text += found_lines("store", diagnosis.store, advise_on_store(diagnosis.store));
  text += confinement_lines(diagnosis.confinement);
  return text + (diagnosis.can_run_images() ? "Containers can run here.\n"
                                            : "Something is to be done before images can run.\n");
}

std::string to_json(const Diagnosis& diagnosis) {
  const HostFacts& host = diagnosis.host;
  container::JsonWriter json;
  json.object([&] {
    json.member("version", diagnosis.version);
    json.member("works", diagnosis.can_run_images());
    json.object("host", [&] {
      json.member("name", host.name);
      json.member("processors", host.processors);
      json.member("available_memory_bytes", host.available_memory_bytes);
      json.member("has_virtualization", host.has_virtualization);
      json.member("has_hypervisor", host.has_hypervisor);
      write_advice(json, advise_on_memory(host));
    });
    json.array("engines", [&] {
      for (const ProbedEngine& engine : diagnosis.engines) write_engine(json, engine);
    });
    write_found(json, "java", diagnosis.java, advise_on_java(diagnosis.java));
    write_found(json, "store", diagnosis.store, advise_on_store(diagnosis.store));
    json.object("confinement", [&] {
      json.member("has", diagnosis.confinement.has);
      json.member("lacks", diagnosis.confinement.lacks);
    });
  });
  return json.text() + "\n";
}

// --- this host -----------------------------------------------------------------------------------

namespace {

ProbedEngine probed(const std::string& engine, const std::string& home, const HostFacts& host) {
  const std::string program = oci::vmm_program(home);
  const auto end = platform::run_program({.path = program,
                                          .arguments = {program, "--probe", engine},
                                          .environment = std::nullopt,
                                          .input = "",
                                          .timeout_ns = kProbeNs});
  ProbedEngine result;
  if (!end && end.error().code != Code::kTimedOut) {
    result.engine = engine;
    result.failure = end.error();
  } else {
    result = read_probe(engine, end ? end->output : "",
                        end ? std::optional(end->exit_status) : std::nullopt);
  }
  result.advice = advise(host, result);
  return result;
}

Result<std::string> usable_store() {
  RUNHV_TRY_ASSIGN(std::string store, store_directory());
  RUNHV_TRY(check_store(store));
  return store;
}

}  // namespace

Result<Diagnosis> diagnose() {
  RUNHV_TRY_ASSIGN(const std::string home, oci::distribution());
  const HostFacts host = platform::host_facts();
  Diagnosis diagnosis{.version = RUNHV_VERSION,
                      .host = host,
                      .engines = {},
                      .java = find_java(),
                      .store = usable_store(),
                      .confinement = platform::confinement_support()};
  const bool is_windows = host.system == HostFacts::System::kWindows;
  for (const char* engine : is_windows ? std::array{"whp", "soft"} : std::array{"kvm", "soft"}) {
    diagnosis.engines.push_back(probed(engine, home, host));
  }
  return diagnosis;
}

}  // namespace runhv::cli
