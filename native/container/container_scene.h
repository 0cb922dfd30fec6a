// A container with a fake guest on a loop of its own, and pipes for its streams. For tests and fuzz
// targets.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "container/container.h"
#include "container/fake_guest.h"
#include "platform/clock.h"

namespace runhv::container {

struct Pipe {
  Pipe() {
    int ends[2];
    RUNHV_CHECK(::pipe2(ends, O_CLOEXEC) == 0);
    reader.reset(ends[0]);
    writer.reset(ends[1]);
  }
  // What is in it, without waiting; at most `limit` bytes.
  std::string take(std::size_t limit = 1u << 20) const {
    if (!reader.is_open()) return "";
    const int file = static_cast<int>(reader.get());
    RUNHV_CHECK(::fcntl(file, F_SETFL, O_NONBLOCK) == 0);
    std::string text;
    std::array<char, 65536> part;
    while (text.size() < limit) {
      const ssize_t count = ::read(file, part.data(), std::min(part.size(), limit - text.size()));
      if (count <= 0) break;
      text.append(part.data(), static_cast<std::size_t>(count));
    }
    return text;
  }
  bool is_at_end() const {
    char byte;
    return ::read(static_cast<int>(reader.get()), &byte, 1) == 0;
  }
  void put(std::string_view text) const {
    RUNHV_CHECK(::write(static_cast<int>(writer.get()), text.data(), text.size()) ==
                static_cast<ssize_t>(text.size()));
  }
  platform::Stream read_end() const { return *platform::Stream::adopt(reader.get(), true); }
  platform::Stream write_end() const { return *platform::Stream::adopt(writer.get(), false); }

  platform::UniqueHandle reader;
  platform::UniqueHandle writer;
};

// Writes down what happens to a container, and checks that it may: each thing once, in its order,
// and nothing after the end.
class EventLog final : public ContainerEvents {
 public:
  void on_created() override {
    RUNHV_CHECK(!created_ && !started_);
    created_ = true;
    add("created");
  }
  void on_started() override {
    RUNHV_CHECK(created_ && !started_);
    started_ = true;
    add("started");
  }
  void on_process_started(ProcessNumber number) override {
    RUNHV_CHECK(started_ && number != kFirstProcess && !known_.contains(number));
    known_.insert(number);
    running_.insert(number);
    add("process " + std::to_string(number) + " started");
  }
  void on_process_ended(ProcessNumber number, const ExitStatus& status) override {
    const bool ran = running_.erase(number) != 0;
    RUNHV_CHECK(ran != (status.kind == ExitStatus::Kind::kNotStarted));
    RUNHV_CHECK(ran || known_.insert(number).second);
    add("process " + std::to_string(number) + " " + text_of(status));
  }
  void on_out_of_memory(std::uint32_t kills) override {
    add("out of memory " + std::to_string(kills));
  }
  void on_paused() override {
    RUNHV_CHECK(!std::exchange(paused_, true));
    add("paused");
  }
  void on_resumed() override {
    RUNHV_CHECK(std::exchange(paused_, false));
    add("resumed");
  }
  void on_warning(ProcessNumber number, const Error& warning) override {
    add("warning " + std::to_string(number) + " " + to_string(warning));
  }
  void on_ended(const Result<ExitStatus>& end) override {
    RUNHV_CHECK(running_.empty());
    add("ended " + (end ? text_of(*end) : "with " + to_string(end.error())));
    ended_ = true;
  }

  static std::string text_of(const ExitStatus& status) {
    const std::string reason = status.reason ? " (" + to_string(*status.reason) + ")" : "";
    switch (status.kind) {
      case ExitStatus::Kind::kExited:
        return "exited " + std::to_string(status.value) + reason;
      case ExitStatus::Kind::kSignaled:
        return "signaled " + std::to_string(status.value) + reason;
      case ExitStatus::Kind::kNotStarted:
        break;
    }
    RUNHV_CHECK(status.reason.has_value());
    return "not started " + std::to_string(status.value) + reason;
  }

  const std::vector<std::string>& texts() const { return texts_; }
  bool ended() const { return ended_; }
  bool has_created() const { return created_; }
  bool has_started() const { return started_; }
  // What a test wants to do inside of an event.
  std::function<void(const std::string&)> on_event;

 private:
  void add(std::string text) {
    RUNHV_CHECK(!ended_);
    texts_.push_back(std::move(text));
    if (on_event) on_event(texts_.back());
  }

  std::vector<std::string> texts_;
  std::set<ProcessNumber> known_, running_;
  bool created_ = false, started_ = false, paused_ = false, ended_ = false;
};

// The bundle that every scene reads, made once.
class SceneBundle {
 public:
  static const std::string& folder() {
    static const SceneBundle bundle;
    return bundle.folder_;
  }

 private:
  SceneBundle()
      : folder_(std::filesystem::temp_directory_path() /
                ("runhv-scene-" + std::to_string(std::random_device{}()))) {
    std::filesystem::create_directory(folder_);
    const std::string config = folder_ + "/config.json";
    std::ofstream(config)
        << R"({"ociVersion":"1.0.2","process":{"args":["/bin/true"],"cwd":"/"},)"
        << R"("linux":{"resources":{},"namespaces":[{"type":"mount"}]},"vm":{"image":{"path":")"
        << config << R"(","format":"raw"}}})";
  }
  ~SceneBundle() { std::filesystem::remove_all(folder_); }
  const std::string folder_;
};

inline constexpr std::uint32_t kStdinPort = RUNHV_FIRST_STREAM_PORT;
inline constexpr std::uint32_t kStdoutPort = kStdinPort + 1;
inline constexpr std::uint32_t kStderrPort = kStdinPort + 2;
constexpr std::uint32_t port_of(ProcessNumber process, std::uint32_t stream) {
  return RUNHV_FIRST_STREAM_PORT + (3 + RUNHV_MAX_DESCRIPTORS) * process + stream;
}

class Scene {
 public:
  struct Options {
    std::string bundle = SceneBundle::folder();
    // A tick that never comes, unless a test is about it.
    std::uint64_t tick_ns = 3'600'000'000'000;
    bool own_network_namespace = false;
    // In place of the pipe `out`.
    platform::OsHandle output = platform::kInvalidHandle;
    // Descriptor 3 reads from the pipe `more_in`, 4 writes to `more_out`.
    bool descriptors = false;
    std::function<Result<void>()> before_guest = nullptr;
  };

  Scene() : Scene(Options()) {}
  explicit Scene(const Options& options) {
    static const auto ignored = std::signal(SIGPIPE, SIG_IGN);
    (void)ignored;
    auto made_loop = platform::EventLoop::create();
    RUNHV_CHECK(made_loop);
    loop = *std::move(made_loop);
    ContainerConfig config;
    config.id = "scene";
    config.bundle = options.bundle;
    config.tick_ns = options.tick_ns;
    config.own_network_namespace = options.own_network_namespace;
    config.before_guest = options.before_guest;
    config.streams = {in.read_end(), out.write_end(), err.write_end()};
    if (options.output != platform::kInvalidHandle) {
      config.streams[1] = *platform::Stream::adopt(options.output, false);
    }
    in.reader.reset();
    out.writer.reset();
    err.writer.reset();
    if (options.descriptors) {
      config.descriptors.push_back({more_in.read_end(), true});
      config.descriptors.push_back({more_out.write_end(), false});
      more_in.reader.reset();
      more_out.writer.reset();
    }
    auto made = Container::create(*loop, std::move(config), log, guest.maker());
    if (made) {
      container = *std::move(made);
    } else {
      error = made.error();
    }
  }

  // Until nothing is left that happens by itself.
  void turn() {
    for (int quiet = 0; quiet < 3; ++quiet) {
      const std::size_t events = log.texts().size();
      RUNHV_CHECK(loop->run_once(platform::monotonic_ns()));
      if (log.texts().size() != events) quiet = 0;
    }
  }
  // Until something is so; a test whose wish does not come true within a minute has failed.
  template <class Condition>
  bool wait_until(Condition condition) {
    const std::uint64_t deadline_ns = platform::monotonic_ns() + 60'000'000'000;
    while (!condition()) {
      if (platform::monotonic_ns() >= deadline_ns) return false;
      RUNHV_CHECK(loop->run_once(deadline_ns));
    }
    return true;
  }
  bool wait_for_end() {
    return wait_until([this] { return log.ended(); });
  }

  // The usual beginning, up to a program that runs with its outputs connected.
  void run() {
    RUNHV_CHECK(container->start());
    RUNHV_CHECK(guest.says_hello());
    turn();
    connect_streams(kFirstProcess);
    guest.says_started(kFirstProcess);
    turn();
  }
  void connect_streams(ProcessNumber process) {
    for (std::uint32_t stream = 0; stream < 3; ++stream) guest.connect(port_of(process, stream));
  }
  // The usual end.
  void finish_outputs(ProcessNumber process = kFirstProcess) {
    guest.shut_down(port_of(process, 1));
    guest.shut_down(port_of(process, 2));
    turn();
  }
  Result<ProcessNumber> execute(HostStreams streams = {},
                                std::string_view json = R"({"args":["a"]})") {
    return container->start_process({.json = json, .streams = std::move(streams)});
  }

  std::unique_ptr<platform::EventLoop> loop;
  EventLog log;
  FakeGuest guest;
  Pipe in, out, err, more_in, more_out;
  std::unique_ptr<Container> container;  // null, and error says why
  std::optional<Error> error;
};

// --- short words of tests ------------------------------------------------------------------------

inline std::vector<std::uint16_t> types(const std::vector<FakeGuest::Request>& requests) {
  std::vector<std::uint16_t> found;
  for (const auto& request : requests) found.push_back(request.type);
  return found;
}

inline std::string text(const Result<void>& result) {
  return result ? "done" : to_string(result.error());
}

inline std::string last(const Scene& scene) {
  return scene.log.texts().empty() ? "nothing" : scene.log.texts().back();
}

inline ContainerStatus status(const Scene& scene) { return scene.container->state().status; }

}  // namespace runhv::container
