// A hostile guest and an owner who asks for anything: connections, frames, bytes and ends in any
// order, while readers come and go. The EventLog checks what is told; whatever happened, a
// container that is killed has ended, and one that is destroyed has given everything back.

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "container/container_scene.h"
#include "testing/fuzz.h"

namespace runhv::container {
namespace {

using testing::FuzzInput;

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

constexpr std::string_view kSecond =
    R"({"ociVersion":"1.0.2","process":{"args":["a"],"cwd":"/"},"root":{"path":"."},)"
    R"("linux":{"namespaces":[{"type":"mount"},{"type":"pid"},{"type":"network"}]}})";

class Run {
 public:
  explicit Run(FuzzInput& input) : input_(input) { RUNHV_CHECK(scene_.container != nullptr); }

  void step() {
    switch (input_.below(16)) {
      case 0:
        scene_.guest.connect(port());
        break;
      case 1:
        scene_.guest.says_hello();
        break;
      case 2:
        scene_.connect_streams(process());
        break;
      case 3:
      case 4:
      case 5:
        say();
        break;
      case 6: {
        const auto raw = input_.take_bytes(input_.byte());
        scene_.guest.say_bytes(raw);
        break;
      }
      case 7:
        // What the host says has a form whatever the guest does.
        (void)scene_.guest.hears();
        break;
      case 8:
        // More than a pipe takes, at times.
        scene_.guest.write(port(),
                           std::string(std::size_t{input_.byte()} << input_.below(10), 'x'));
        break;
      case 9:
        input_.byte() % 2 == 0 ? scene_.guest.shut_down(port()) : scene_.guest.reset(port());
        break;
      case 10:
        owner();
        break;
      case 11:
        host();
        break;
      case 12:
        if (input_.byte() % 4 == 0) scene_.guest.end(machine::MachineEnd::kPoweredOff);
        break;
      case 13:
        (void)scene_.container->start();
        break;
      default:
        scene_.turn();
        break;
    }
  }

  void finish() {
    scene_.turn();
    // The first ends it, the second gives up what nobody reads.
    (void)scene_.container->signal(kFirstProcess, 9);
    (void)scene_.container->signal(kFirstProcess, 9);
    scene_.turn();
    RUNHV_CHECK(scene_.log.ended());
    RUNHV_CHECK(scene_.container->end().has_value());
    RUNHV_CHECK(scene_.container->state().status == ContainerStatus::kStopped);
    const std::size_t told = scene_.log.texts().size();
    scene_.container.reset();
    scene_.turn();
    RUNHV_CHECK(scene_.log.texts().size() == told);
  }

 private:
  ProcessNumber process() { return input_.byte() % 4; }
  std::uint32_t port() {
    const std::uint8_t choice = input_.byte();
    if (choice >= 0xf0) return input_.take<std::uint32_t>();
    return RUNHV_CONTROL_PORT + choice % 13;
  }

  // A frame that is mostly one that the protocol knows.
  void say() {
    const std::uint8_t how = input_.byte();
    const auto number = [&](std::uint32_t usual) {
      return (how & 0x80) != 0 ? input_.take<std::uint32_t>() : usual;
    };
    switch (how % 7) {
      case 0:
        return scene_.guest.say(RUNHV_MSG_HELLO,
                                runhv_hello{number(RUNHV_PROTO_MAGIC), RUNHV_PROTO_VERSION, 0});
      case 1:
        return scene_.guest.says_prepared(number(process()));
      case 2:
        return scene_.guest.says_started(number(process()));
      case 3:
        return scene_.guest.says_failed(number(process()), number(127), text());
      case 4:
        return scene_.guest.say(
            RUNHV_MSG_EXITED, runhv_exited{number(process()), number(how >> 3 & 1), number(9), 0});
      case 5:
        return scene_.guest.says_out_of_memory(number(1));
      default:
        return scene_.guest.says_warning(number(process()), text());
    }
  }
  std::string_view text() { return text_of(input_.take_bytes(input_.byte() % 32)); }

  void owner() {
    Container& container = *scene_.container;
    switch (input_.below(9)) {
      case 0:
        (void)container.boot();
        break;
      case 1:
        (void)container.signal(process(), input_.byte());
        break;
      case 2:
        (void)container.pause();
        break;
      case 3:
        (void)container.resume();
        break;
      case 4:
        (void)container.start_process({.json = R"({"args":["a"]})",
                                       .container = process(),
                                       .streams = {std::nullopt, other_.write_end(), std::nullopt},
                                       .terminal = input_.byte() % 2 == 0});
        break;
      case 5:
        (void)container.resize(process(), input_.byte(), input_.byte());
        break;
      case 6: {
        std::optional<platform::Stream> end;
        const int stream = input_.byte() % 4;
        if (input_.byte() % 2 == 0) end = stream == 0 ? other_.read_end() : other_.write_end();
        (void)container.attach(process(), stream, std::move(end));
        break;
      }
      case 7:
        (void)container.join({.id = "second",
                              .bundle = SceneBundle::folder(),
                              .json = kSecond,
                              .streams = {std::nullopt, other_.write_end(), std::nullopt},
                              .terminal = input_.byte() % 2 == 0});
        break;
      default:
        (void)container.state();
        (void)container.statistics_page();
        break;
    }
  }

  void host() {
    switch (input_.below(5)) {
      case 0:
        (void)scene_.out.take();
        break;
      case 1:
        (void)scene_.err.take();
        (void)other_.take();
        break;
      case 2:
        scene_.out.reader.reset();
        break;
      case 3:
        // Where nobody has the other end any more, so be it.
        (void)!::write(static_cast<int>(scene_.in.writer.get()), "typed", 5);
        break;
      default:
        scene_.in.writer.reset();
        break;
    }
  }

  FuzzInput& input_;
  Scene scene_;
  const Pipe other_;
};

}  // namespace
}  // namespace runhv::container

void runhv::testing::fuzz(std::span<const std::byte> bytes) {
  testing::FuzzInput input(bytes.first(std::min<std::size_t>(bytes.size(), 4096)));
  container::Run run(input);
  while (!input.empty()) run.step();
  run.finish();
}
