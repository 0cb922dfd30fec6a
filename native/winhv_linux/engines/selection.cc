#include "winhv_linux/engines/selection.h"

#include <atomic>
#include <cstdio>
#include <utility>

#include "platform/clock.h"
#include "platform/process.h"
#include "platform/user_folders.h"
#include "winhv_linux/engines/kept_refusal.h"
#include "winhv_linux/engines/kvm_engine.h"
#include "winhv_linux/engines/soft_engine.h"

namespace runhv::winhv_linux {
namespace {

const OpenedEngine& kvm_engine() {
  // Leaked on purpose, as all here: threads of the client may still run guests while the process
  // exits.
  static const auto& engine = *new OpenedEngine(open_kvm_engine("/dev/kvm"));
  return engine;
}

Selection selection_of(const char* name, const OpenedEngine& engine,
                       std::optional<std::string> reason = std::nullopt) {
  return {name, engine, std::move(reason), engine ? "" : to_string(engine.error())};
}

const Selection& soft() {
  static const auto& selection = *new Selection(selection_of("soft", soft_engine()));
  return selection;
}

const Selection& kvm() {
  static const auto& selection = *new Selection(selection_of("kvm", kvm_engine()));
  return selection;
}

Selection soft_in_place_of_kvm(const std::string& why) {
  return selection_of("soft", soft_engine(), "/dev/kvm: " + why);
}

Selection probed() {
  const auto folder = platform::runtime_folder("runhv");
  const KeptRefusal kept(folder ? *folder : "");
  if (const auto why = kept.get(platform::realtime_ns())) return soft_in_place_of_kvm(*why);
  const OpenedEngine& engine = kvm_engine();
  if (!engine) return selection_of("soft", soft_engine(), to_string(engine.error()));
  const auto took_ns = probe_engine(**engine);
  if (!took_ns) {
    const std::string why = to_string(took_ns.error());
    kept.put(why, platform::realtime_ns());
    return soft_in_place_of_kvm(why);
  }
  return selection_of("kvm", engine,
                      "its probe guest took " + std::to_string(*took_ns / 1000) + " us");
}

const Selection& automatic() {
  static const auto& selection = *new Selection(probed());
  return selection;
}

const Selection* find(std::string_view name) {
  if (name == "soft") return &soft();
  if (name == "kvm") return &kvm();
  return name == "auto" ? &automatic() : nullptr;
}

const Selection& by_default() {
  const std::string name = platform::environment("RUNHV_WHP_ENGINE");
  if (name.empty()) return soft();
  if (const Selection* selection = find(name)) return *selection;
  std::fprintf(stderr,
               "winhvplatform: RUNHV_WHP_ENGINE is \"%s\"; the engines are auto, soft, kvm\n",
               name.c_str());
  return soft();
}

std::atomic<const Selection*> selected{nullptr};

}  // namespace

bool select_engine(std::string_view name) {
  const Selection* selection = find(name);
  if (selection != nullptr) selected.store(selection);
  return selection != nullptr;
}

const Selection& selected_engine() {
  if (const Selection* selection = selected.load()) return *selection;
  static const Selection& selection = by_default();
  return selection;
}

}  // namespace runhv::winhv_linux
