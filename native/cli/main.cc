// runhv: the front door. Reads the command line, gets a bundle where an image is asked for, and
// becomes runhv-vmm.

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "base/scope_exit.h"
#include "cli/doctor.h"
#include "cli/image_service.h"
#include "cli/image_verbs.h"
#include "cli/java_runtime.h"
#include "cli/kernels.h"
#include "cli/man_pages.h"
#include "cli/prepare.h"
#include "cli/registries.h"
#include "cli/run_options.h"
#include "cli/spool.h"
#include "cli/sweep.h"
#include "cli/texts.h"
#include "control/container_folder.h"
#include "oci/arguments.h"
#include "oci/create.h"
#include "oci/distribution.h"
#include "oci/log.h"
#include "oci/verbs.h"
#include "platform/child.h"
#include "platform/clock.h"
#include "platform/complain.h"
#include "platform/event_loop.h"
#include "platform/file.h"
#include "platform/hypervisor_library.h"
#include "platform/library.h"
#include "platform/path.h"
#include "platform/process.h"
#include "platform/random_name.h"
#include "platform/signals.h"
#include "platform/standard_streams.h"
#include "platform/system_name.h"
#include "platform/terminal.h"

namespace runhv::cli {
namespace {

constexpr std::uint64_t kMaxRevisionBytes = 1 << 10;
constexpr int kWindowChanged = 28;  // Linux: SIGWINCH
// Of JSON, and of the line break by which the Java side says that it is up.
constexpr std::string_view kAnswerBegins = "\n{";
// There a program starts without what this one holds.
const bool kOnWindows = platform::this_system() == platform::System::kWindows;

int print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  return std::fflush(stdout) == 0 ? 0 : platform::kOurFailure;
}

// `stays`: for the image service, which gives back what it needs no more.
std::vector<std::string> java_arguments(const std::string& home, bool stays) {
  const std::string share = home + "/share/runhv";
  std::vector<std::string> arguments = {
      // The JVM's own log goes to stdout otherwise, where the answer is expected.
      "-Xlog:disable", "-Xlog:all=error:stderr", "-XX:+DisplayVMOutputToStderr",
      // A cache that does not fit, because a file was copied without its time, only costs its gain.
      // Every compiler is on: SHA-256 in the processor's own instructions is C2's, and halves the
      // CPU time of an import. A start that finds its root made does not come that far.
      "-Xlog:aot*=off:stderr", "-XX:+UseSerialGC",
      // Most requests end before compiled code has paid, and its compilers want the processors that
      // a start needs: what they do for a pull's JVM by itself is an eighth less of its time.
      "-XX:CompileThresholdScaling=4",
      // Enough for an image that is at every limit of docs/limits.md at once.
      "-Xmx1g", "--enable-native-access=dev.runhv.vmm,com.github.luben.zstd_jni"};
  if (stays) arguments.push_back("-Xms16m");
  if (kOnWindows) arguments.push_back("-Dstderr.encoding=UTF-8");  // not the user's code page
  // What a JVM that fails writes is not for its folder, which is the distribution.
  std::error_code failure;
  const auto temporary = std::filesystem::temp_directory_path(failure);
  if (!failure) {
    arguments.push_back("-XX:ErrorFile=" + platform::path_text(temporary / "runhv-java-%p.log"));
  }
  if (const std::string cache = share + "/runhv.aot"; platform::file_exists(cache)) {
    arguments.push_back("-XX:AOTCache=" + cache);
  }
  // The cache holds the paths of the jars: by this name they are the same in every place where the
  // distribution can lie.
  arguments.insert(arguments.end(), {"-p", platform::working_directory_name() + "/lib/java", "-m",
                                     "dev.runhv.vmm/dev.runhv.vmm.cli.Main"});
  return arguments;
}

// In a process of its own.
Result<platform::Captured> captured_alone(const std::string& request, const std::string& home,
                                          platform::SignalQueue* signals) {
  RUNHV_TRY_ASSIGN(const std::string java, find_java());
  return platform::run_captured(java, java_arguments(home, false), home, request, kMaxAnswerBytes,
                                signals, kAnswerBegins);
}

// Whether it names a file by a descriptor, which is this process's and its children's own.
bool names_a_descriptor(std::string_view request) {
  return std::ranges::any_of(
      std::array<std::string_view, 3>{"/dev/fd/", "/dev/std", "/proc/self/"},
      [&](std::string_view folder) { return request.find(folder) != std::string_view::npos; });
}

Result<ImageService> service_of(const std::string& home, const ServiceOptions& options) {
  auto service = ImageService::find(home);
  if (service || service.error().code != Code::kNotFound) return service;
  RUNHV_TRY_ASSIGN(const std::string java, find_java());
  return ImageService::find_or_start(home,
                                     {java, java_arguments(home, true), options.idle_seconds});
}

// By the image service, where there is one or one can be started.
Result<platform::Captured> captured(const std::string& request, const std::string& home,
                                    platform::SignalQueue* signals = nullptr) {
  RUNHV_TRY_ASSIGN(const ServiceOptions options,
                   parse_service_options(platform::environment("RUNHV_SERVICE")));
  if (!options.used || names_a_descriptor(request)) {
    return captured_alone(request, home, signals);
  }
  // One that was about to end has gone when it is asked; where the next one has, none stays here.
  for (int attempts = 2; attempts > 0; --attempts) {
    auto service = service_of(home, options);
    if (!service) {
      debug_log("cli", "%s", to_string(service.error()).c_str());
      break;
    }
    auto answer = (*std::move(service)).ask(request, signals);
    if (!answer && answer.error().code == Code::kNotFound) continue;
    if (!answer) return Fail{std::move(answer).error()};
    if (!*answer) break;
    return **std::move(answer);
  }
  return captured_alone(request, home, signals);
}

// The answer of the Java side: its text `member`.
Result<std::string> ask_java(const std::string& request, const std::string& home,
                             const char* member, const std::string& operation) {
  RUNHV_TRY_ASSIGN(const platform::Captured answer, captured(request, home));
  return read_answer(answer, member, operation);
}

// The same of a process that ends with it: what is secret or heavy stays nowhere.
Result<std::string> ask_java_alone(const std::string& request, const std::string& home,
                                   const char* member, const std::string& operation) {
  RUNHV_TRY_ASSIGN(const platform::Captured answer, captured_alone(request, home, nullptr));
  return read_answer(answer, member, operation);
}

// Keeps what is in the store there, until a micro-VM has it open (docs/images.md). Not open where
// this user may not write there: then he removes nothing, either.
platform::UniqueHandle take_lease(const std::string& store) {
  const std::string locks = store + "/locks";
  std::error_code failure;
  std::filesystem::create_directories(platform::filesystem_path(locks), failure);
  auto lease = platform::lock_shared(locks + "/use");
  return lease ? *std::move(lease) : platform::UniqueHandle();
}

// Makes a bundle that nobody but runhv-vmm, which this process becomes, will delete. Signals that
// ask for the end wait for it, too, from the first on: they stay blocked, and become does not lose
// them. `name`: given back where a signal ends this process.
Result<std::string> prepare_bundle(const RunOptions& options, const std::string& home,
                                   const std::string& root, const std::string& store,
                                   std::optional<control::ContainerFolder>& name) {
  RUNHV_TRY_ASSIGN(const std::string image, absolute_image(options.image));
  RUNHV_TRY_ASSIGN(const std::string directory, control::root_folder(root, "bundles"));
  // Bundles of runs that were killed between Java's answer and the first act of runhv-vmm.
  sweep(directory);
  // Two runs with one name must not touch each other's bundle: which of them may have the name is
  // for runhv-vmm to say.
  const std::string bundle = directory + "/" + options.id + "." + platform::random_name<6>();
  RUNHV_TRY_ASSIGN(
      const std::string request,
      prepare_request(options, image,
                      {store, bundle, platform::is_terminal(platform::standard_stream(2))}));
  RUNHV_TRY_ASSIGN(const std::unique_ptr<platform::SignalQueue> signals,
                   platform::SignalQueue::create());
  // Java leaves nothing where it fails; but it may have been killed.
  ScopeExit remove([&] { (void)platform::remove_tree(bundle); });
  RUNHV_TRY_ASSIGN(const platform::Captured answer, captured(request, home, signals.get()));
  if (answer.asked_to_end) {
    (void)platform::remove_tree(bundle);
    if (name) (void)name->remove();
    platform::end_by_signal(*answer.asked_to_end);
  }
  RUNHV_TRY_ASSIGN(std::string prepared, read_answer(answer, "bundle", "prepare the image"));
  remove.release();
  return prepared;
}

// Of those that go with a bundle.
std::vector<std::string> vmm_options(const RunOptions& options, std::uint64_t spawned_at_ns) {
  std::vector<std::string> arguments = {"--engine", options.engine, "--spawned-at-ns",
                                        std::to_string(spawned_at_ns)};
  if (!options.bundle.empty() && !options.kernel.empty()) {
    arguments.insert(arguments.end(), {"--kernel", options.kernel});
    if (!options.modules.empty()) {
      arguments.insert(arguments.end(), {"--modules", options.modules});
    }
  }
  if (!options.timings.empty()) arguments.push_back(options.timings);
  return arguments;
}

std::vector<std::string> vmm_arguments(const RunOptions& options, const std::string& root,
                                       const std::string& bundle, std::uint64_t spawned_at_ns) {
  auto arguments = vmm_options(options, spawned_at_ns);
  arguments.insert(arguments.end(), {"--id", options.id, "--root", root, "--bundle", bundle});
  if (options.bundle.empty()) arguments.push_back("--remove-bundle");
  if (options.debug) arguments.push_back("--debug");
  if (options.terminal) {
    arguments.insert(arguments.end(),
                     {"--terminal", "--end-with", std::to_string(platform::current_process_id())});
  }
  if (options.keep) arguments.push_back("--keep");
  if (options.preserve_fds != 0) {
    arguments.insert(arguments.end(), {"--preserve-fds", std::to_string(options.preserve_fds)});
  }
  return arguments;
}

// Gives its status. What signals this process gets meanwhile are the VMM's too; but not `own`.
Result<int> wait_for_vmm(const platform::Child& vmm, platform::SignalQueue& signals,
                         std::optional<int> own) {
  RUNHV_TRY_ASSIGN(const auto loop, platform::EventLoop::create());
  RUNHV_TRY_ASSIGN(auto end, platform::ProcessEnd::watch(vmm.pid()));
  RUNHV_TRY(end.bind(*loop));
  RUNHV_TRY(signals.bind(*loop));
  bool ended = false;
  end.on_end([&ended] { ended = true; });
  while (!ended) {
    while (const auto signal = signals.next()) {
      if (*signal != own) vmm.signal(*signal);
    }
    signals.on_signal([] {});
    RUNHV_TRY(loop->run_once(std::nullopt));
  }
  return vmm.wait();
}

// With a terminal this process stays: it restores the mode where runhv-vmm is killed, as that does
// where this process is, and gives its status.
Result<int> stand_before(const std::string& program, const std::vector<std::string>& arguments,
                         platform::UniqueHandle lease) {
  const platform::OsHandle terminal = platform::standard_stream(0);
  RUNHV_TRY_ASSIGN(const platform::TerminalMode mode, platform::TerminalMode::save(terminal));
  RUNHV_TRY_ASSIGN(const platform::Child vmm, platform::start_beside(program, arguments));
  lease.reset();  // it has its own
  RUNHV_TRY_ASSIGN(const auto signals, platform::SignalQueue::create());
  // The terminal tells both of its size.
  return wait_for_vmm(vmm, *signals, kWindowChanged);
}

// What fails of it is told.
void remove_container(const RunOptions& options, const oci::Globals& globals) {
  const std::array<std::string_view, 2> arguments{"--force", options.id};
  (void)oci::run_verb(*oci::find_verb("delete"), globals, arguments);
}

// What cannot be started leaves nothing.
Result<void> start_or_remove(const RunOptions& options, const oci::Globals& globals) {
  auto started = oci::start_container(globals, options.id);
  if (!started) remove_container(options, globals);
  return started;
}

Result<int> run_detached(const RunOptions& options, const oci::Globals& globals) {
  RUNHV_TRY(oci::create_container(globals, {.id = options.id,
                                            .bundle = options.bundle,
                                            .console_socket = options.console_socket,
                                            .pid_file = options.pid_file,
                                            .preserve_fds = options.preserve_fds}));
  RUNHV_TRY(start_or_remove(options, globals));
  return 0;
}

// As runc's run: in front of a container that is created, started and deleted.
Result<int> run_attached(const RunOptions& options, const oci::Globals& globals,
                         std::uint64_t spawned_at_ns) {
  RUNHV_TRY_ASSIGN(
      const platform::Child vmm,
      oci::create_container(globals, {.id = options.id,
                                      .bundle = options.bundle,
                                      .console_socket = "",
                                      .pid_file = options.pid_file,
                                      .preserve_fds = options.preserve_fds,
                                      .attached = true,
                                      .vmm_options = vmm_options(options, spawned_at_ns)}));
  // Before the program runs: whatever comes from then on is its affair.
  RUNHV_TRY_ASSIGN(const auto signals, platform::SignalQueue::create());
  RUNHV_TRY(start_or_remove(options, globals));
  RUNHV_TRY_ASSIGN(const int status, wait_for_vmm(vmm, *signals, std::nullopt));
  if (!options.keep) remove_container(options, globals);
  return status;
}

// Becomes runhv-vmm, or gives its status where a terminal is to be restored after it.
Result<int> run_container(RunOptions& options, const oci::Globals& globals,
                          std::uint64_t spawned_at_ns) {
  if (options.terminal && !platform::is_terminal(platform::standard_stream(0))) {
    return Fail{Error{Code::kInvalidArgument, "run", "--tty: stdin is no terminal"}};
  }
  RUNHV_TRY(oci::check_preserved("run", options.preserve_fds));
  // As docker has it; the image's and the caller's own are later, and win.
  if (options.terminal) options.environment.insert(options.environment.begin(), "TERM=xterm");
  RUNHV_TRY_ASSIGN(const std::string home, oci::distribution());
  if (!options.kernel.empty()) {
    RUNHV_TRY_ASSIGN(const ChosenKernel kernel,
                     choose_kernel(options.kernel, home + "/share/runhv"));
    options.kernel = kernel.image;
    options.modules = kernel.modules;
  }
  if (!options.pid_file.empty() ||
      (!options.bundle.empty() && oci::asks_the_host(options.bundle))) {
    return run_attached(options, globals, spawned_at_ns);
  }
  RUNHV_TRY_ASSIGN(const std::string root, control::runhv_root(globals.root));
  std::string bundle = options.bundle;
  // Until runhv-vmm takes it: Java must not work for a taken name.
  std::optional<control::ContainerFolder> name;
  const ScopeExit give_back([&] {
    if (name) (void)name->remove();
  });
  platform::UniqueHandle lease;
  if (bundle.empty()) {
    if (options.id.empty()) {
      options.id = platform::random_name<6>();
    } else {
      RUNHV_TRY_ASSIGN(name, control::ContainerFolder::take(root, options.id));
    }
    RUNHV_TRY_ASSIGN(const std::string store, store_directory());
    lease = take_lease(store);
    RUNHV_TRY_ASSIGN(bundle, prepare_bundle(options, home, root, store, name));
  }
  const std::string program = oci::vmm_program(home);
  auto arguments = vmm_arguments(options, root, bundle, spawned_at_ns);
  // It cannot be handed on there: until runhv-vmm has opened the files, somebody who removes images
  // may take them away, and the container does not start.
  if (kOnWindows) lease.reset();
  if (lease.is_open()) {
    RUNHV_TRY(platform::keep_across_become(lease.get()));
    arguments.insert(arguments.end(), {"--lease-fd", std::to_string(lease.get())});
  }
  // It is runhv-vmm's from here on, as where this process becomes it.
  if (options.terminal || kOnWindows) name.reset();
  auto status = options.terminal ? stand_before(program, arguments, std::move(lease))
                                 : Result<int>(Fail{platform::become(program, arguments)});
  if (!status && options.bundle.empty()) (void)platform::remove_tree(bundle);
  return status;
}

int run(oci::Globals globals, std::span<const std::string_view> arguments,
        std::uint64_t spawned_at_ns) {
  auto options = parse_run_options(arguments);
  if (!options) return platform::complain(options.error().detail);
  if (options->help) return print(*help_text("run"));
  globals.debug = globals.debug || options->debug;
  if (options->detach) {
    const auto started = run_detached(*options, globals);
    if (started) return *started;
    oci::report(globals, oci::Level::kError, started.error());
    return platform::kOurFailure;
  }
  const auto status = run_container(*options, globals, spawned_at_ns);
  return status ? *status : platform::complain(status.error());
}

Result<std::string> kernels_text(std::span<const std::string_view> arguments) {
  RUNHV_TRY_ASSIGN(const std::string home, oci::distribution());
  RUNHV_TRY_ASSIGN(const std::string store, store_directory());
  RUNHV_TRY_ASSIGN(const std::string request, kernels_request(arguments, store));
  // To add one boots it.
  const bool adds = !arguments.empty() && arguments.front() == "add";
  return (adds ? ask_java_alone : ask_java)(request, home, "output", "look after the kernels");
}

Result<std::string> image_text(const ImageVerb& verb, std::span<const std::string_view> arguments) {
  RUNHV_TRY_ASSIGN(const std::string home, oci::distribution());
  RUNHV_TRY_ASSIGN(const std::string store, store_directory());
  const std::string name(verb.name);
  Spool::sweep(store);
  std::unique_ptr<Spool> spool;
  if (verb.pipe != Pipe::kNone) {
    RUNHV_TRY_ASSIGN(spool, Spool::create(name, store, platform::random_name<6>()));
  }
  RUNHV_TRY_ASSIGN(const ImageRequest request,
                   image_request(verb, arguments, store, spool ? spool->path() : "",
                                 platform::is_terminal(platform::standard_stream(2))));
  if (request.piped && verb.pipe == Pipe::kStdin) RUNHV_TRY(spool->take_stdin());
  if (request.piped && verb.pipe == Pipe::kStdout) RUNHV_TRY(spool->require_pipe());
  auto text = ask_java(request.text, home, "output", name);
  if (text && request.piped && verb.pipe != Pipe::kStdin) RUNHV_TRY(spool->give_to_stdout());
  return text;
}

Result<std::string> login_text(std::span<const std::string_view> arguments) {
  RUNHV_TRY_ASSIGN(const std::string home, oci::distribution());
  RUNHV_TRY_ASSIGN(LoginOptions options, parse_login_options(arguments));
  RUNHV_TRY_ASSIGN(const std::string password, read_password(options));
  RUNHV_TRY_ASSIGN(const std::string request, login_request(options, password));
  return ask_java_alone(request, home, "output", "log in");
}

Result<std::string> logout_text(std::span<const std::string_view> arguments) {
  RUNHV_TRY_ASSIGN(const std::string home, oci::distribution());
  RUNHV_TRY_ASSIGN(const std::string request, logout_request(arguments));
  return ask_java_alone(request, home, "output", "log out");
}

// Where it listens, for a program that is no command.
Result<std::string> started_service(const std::string& home) {
  RUNHV_TRY_ASSIGN(const ServiceOptions options,
                   parse_service_options(platform::environment("RUNHV_SERVICE")));
  if (!options.used) {
    return Fail{Error{Code::kUnsupported, "start the image service", "RUNHV_SERVICE says off"}};
  }
  RUNHV_TRY_ASSIGN(ImageService service, service_of(home, options));
  return std::move(service).place();
}

Result<std::string> service_text(std::span<const std::string_view> arguments) {
  const std::string_view verb = arguments.size() == 1 ? arguments.front() : "";
  if (verb != "start" && verb != "status" && verb != "stop") {
    return Fail{Error{Code::kInvalidArgument, "service", "expected start, status or stop"}};
  }
  RUNHV_TRY_ASSIGN(const std::string home, oci::distribution());
  if (verb == "start") return started_service(home);
  auto service = ImageService::find(home);
  if (!service && service.error().code == Code::kNotFound) return std::string("not running\n");
  if (!service) return Fail{service.error()};
  const bool stops = verb == "stop";
  auto told = stops ? (*std::move(service)).stop() : (*std::move(service)).status();
  // It ended by itself meanwhile.
  if (!told && told.error().code == Code::kClosed) return std::string(stops ? "" : "not running\n");
  return told;
}

int answered(const Result<std::string>& text) {
  return text ? print(*text) : platform::complain(text.error());
}

// What the engine calls itself; empty where it cannot be opened.
std::string engine_description(const std::string& home) {
  const auto library =
      platform::Library::open(home + "/lib/" + platform::library_file("runhv-softcpu"));
  if (!library) return "";
  void* const describe = library->find("softcpu_description");
  return describe != nullptr ? reinterpret_cast<const char* (*)()>(describe)() : "";
}

std::string version_text() {
  // The first lines as runc's, by which dockerd reads them.
  std::string text = "runhv version " RUNHV_VERSION;
  const auto home = oci::distribution();
  // A copy that lies alone has a version as well.
  if (!home) return text + "\n";
  // Written when the distribution was put together; a source archive has no revision.
  if (const auto revision =
          platform::read_file(*home + "/share/runhv/revision", kMaxRevisionBytes)) {
    std::string name(reinterpret_cast<const char*>(revision->data()), revision->size());
    name.erase(std::min(name.find('\n'), name.size()));
    text += "\ncommit: " + name;
  }
  // Windows brings its own.
  if (!platform::hypervisor_library().is_the_systems) {
    const std::string engine = engine_description(*home);
    text += "\nengine soft: " + (engine.empty() ? "not here" : engine);
  }
  return text + "\nlicences: " + *home + "/share/doc/runhv/NOTICE\n";
}

// Its status says whether containers of images can run.
int doctor(std::span<const std::string_view> arguments) {
  const bool as_json = arguments.size() == 1 && arguments.front() == "--json";
  if (!arguments.empty() && !as_json)
    return platform::complain("doctor: expected nothing or --json");
  const auto diagnosis = diagnose();
  if (!diagnosis) return platform::complain(diagnosis.error());
  const int printed = print(as_json ? to_json(*diagnosis) : to_text(*diagnosis));
  return printed != 0 || diagnosis->can_run_images() ? printed : 1;
}

bool asks_for_help(std::span<const std::string_view> arguments) {
  return arguments.size() == 1 && (arguments.front() == "--help" || arguments.front() == "-h");
}

int help(std::span<const std::string_view> arguments) {
  const bool as_man_page = !arguments.empty() && arguments.front() == "--man";
  const auto words = arguments.subspan(as_man_page ? 1 : 0);
  const std::string_view command = words.empty() ? "" : words.front();
  const auto text = as_man_page       ? man_page(command)
                    : command.empty() ? std::optional(help_text())
                                      : help_text(command);
  if (!text) return platform::complain("no help for " + std::string(command) + "; see runhv help");
  return print(*text);
}

int version(std::span<const std::string_view> arguments) {
  if (!arguments.empty()) return platform::complain("version takes no argument");
  return print(version_text());
}

int complete(std::span<const std::string_view> arguments) {
  const auto script = arguments.size() == 1 ? completion_script(arguments.front()) : std::nullopt;
  if (!script) return platform::complain("completion: expected bash, zsh, fish or powershell");
  return print(*script);
}

int runhv_main(std::span<const std::string_view> arguments) {
  const std::uint64_t spawned_at_ns = platform::monotonic_ns();
  platform::ensure_standard_streams();
  const auto globals = oci::take_globals(arguments);
  if (!globals) return platform::complain(globals.error());
  const std::string_view verb = arguments.empty() ? "help" : arguments.front();
  const auto rest = arguments.empty() ? arguments : arguments.subspan(1);
  if (verb == "run") return run(*globals, rest, spawned_at_ns);
  if (asks_for_help(rest) && help_text(verb)) return help(arguments);
  if (const oci::Verb* const found = oci::find_verb(verb)) {
    return oci::run_verb(*found, *globals, rest);
  }
  if (verb == "doctor") return doctor(rest);
  if (verb == "kernels") return answered(kernels_text(rest));
  if (const ImageVerb* const found = find_image_verb(verb)) {
    return answered(image_text(*found, rest));
  }
  if (verb == "login") return answered(login_text(rest));
  if (verb == "service") return answered(service_text(rest));
  if (verb == "logout") return answered(logout_text(rest));
  if (verb == "help" || verb == "--help" || verb == "-h") return help(rest);
  if (verb == "version" || verb == "--version") return version(rest);
  if (verb == "completion") return complete(rest);
  return platform::complain("unknown command " + std::string(verb) + "; see runhv help");
}

}  // namespace
}  // namespace runhv::cli

int main(int argc, char** argv) {
  const std::vector<std::string> words = runhv::platform::program_arguments(argc, argv);
  const std::vector<std::string_view> arguments(words.begin(), words.end());
  return runhv::cli::runhv_main(arguments);
}
