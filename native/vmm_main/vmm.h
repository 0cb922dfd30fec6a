// The process of one container: its event loop runs on one thread, and everything that happens
// comes by it: the guest, the streams, clients of the control channel, signals, the end of the
// launcher. The first thread stands for the container's files.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "api/conversions.h"
#include "base/result.h"
#include "container/container.h"
#include "control/container_folder.h"
#include "control/requests.h"
#include "control/server.h"
#include "platform/confinement.h"
#include "platform/event_loop.h"
#include "platform/process.h"
#include "platform/shown_files.h"
#include "platform/signals.h"
#include "platform/terminal.h"
#include "vmm_main/member.h"
#include "vmm_main/options.h"

namespace runhv::vmm_main {

class Vmm final : private api::AbiEvents, private control::Requests {
 public:
  Vmm(platform::EventLoop& loop, platform::FirstThread& first_thread)
      : loop_(loop), first_thread_(first_thread), server_(loop, *this) {}

  // From the launcher's connection to the end. `closed`: whether inherited handles were closed.
  // Gives the exit status of the process. Whatever fails on the way is told on stderr, and by
  // RUNHV_EVENT_ENDED to the launcher.
  int run(std::span<const std::string_view> arguments, const LauncherOptions& launcher,
          const Result<void>& closed);

 private:
  Result<void> connect_launcher(const LauncherOptions& launcher);
  Result<void> begin(std::span<const std::string_view> arguments, const LauncherOptions& launcher,
                     const Result<void>& closed);
  Result<void> watch_signals();
  Result<void> watch_parent();
  Result<void> take_name(const LauncherOptions& launcher);
  Result<void> make_container(const std::string& share);
  Result<void> make_member();
  Result<void> confine();
  Result<void> confine_first_thread();
  void say_which_engine();
  void forward_signals();
  Result<void> take_terminal();
  void follow_terminal_size();
  bool is_told_elsewhere() const;

  void on_event(const runhv_event& event) override;
  void keep_state();
  void show_files();
  void finish(const runhv_event& event);
  api::AbiEnd tell_people(const runhv_event& event) const;
  Error no_container() const;
  const container::Bundle* bundle() const;  // null until there is one
  // Of the container, whoever runs it.
  template <class Act>
  auto ask(Act act) -> decltype(act(std::declval<container::Container&>())) {
    if (container_) return act(*container_);
    if (member_) return act(*member_);
    return Fail{no_container()};
  }

  runhv_state state() override;
  Result<runhv_statistics> statistics() override;
  Result<void> start() override;
  Result<void> signal(container::ProcessNumber process, int signal) override;
  Result<void> stop(int signal, std::uint32_t grace_ms) override;
  Result<void> pause() override;
  Result<void> resume() override;
  Result<container::ProcessNumber> start_process(container::ProcessConfig config) override;
  Result<container::ProcessNumber> join(container::JoinConfig config) override;
  Result<void> resize(container::ProcessNumber process, std::uint16_t columns,
                      std::uint16_t rows) override;
  Result<void> update(container::ProcessNumber which, std::string_view json,
                      container::UpdateDone done) override;
  Result<void> attach(container::ProcessNumber process, int stream,
                      std::optional<platform::Stream> end) override;

  // The bundle's folder, where it was made for this run only: deleted whatever happens.
  class MadeBundle {
   public:
    MadeBundle() = default;
    MadeBundle(const MadeBundle&) = delete;
    MadeBundle& operator=(const MadeBundle&) = delete;
    ~MadeBundle() { remove(); }
    void own(std::string path) { path_ = std::move(path); }
    void remove();

   private:
    std::string path_;
  };

  platform::EventLoop& loop_;
  platform::FirstThread& first_thread_;
  VmmOptions options_;
  control::Server server_;
  MadeBundle bundle_;
  std::string root_;
  std::unique_ptr<platform::SignalQueue> signals_;
  std::optional<platform::ProcessEnd> parent_;
  std::optional<control::ContainerFolder> folder_;
  control::StoredState stored_;
  std::optional<platform::Confinement> confinement_;
  // Before all that they speak to in destruction; one of them is there.
  std::unique_ptr<container::Container> container_;
  std::unique_ptr<Member> member_;
  std::optional<platform::TerminalMode> terminal_mode_;
  bool launcher_runs_hooks_ = false;
  bool was_started_ = false;
  bool files_are_shown_ = false;
  std::optional<api::AbiEnd> end_;
};

}  // namespace runhv::vmm_main
