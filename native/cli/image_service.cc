#include "cli/image_service.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <thread>

#include "base/bytes.h"
#include "cli/sweep.h"
#include "control/container_folder.h"
#include "control/frame.h"
#include "platform/child.h"
#include "platform/clock.h"
#include "platform/event_loop.h"
#include "platform/file.h"
#include "platform/folder_lock.h"
#include "platform/library.h"
#include "platform/os_error.h"
#include "platform/path.h"
#include "platform/system_name.h"

namespace runhv::cli {
namespace {

constexpr const char* kOperation = "ask the image service";
constexpr std::uint64_t kSecond = 1'000'000'000;
// A JVM starts in a second or two where others keep the machine busy.
constexpr std::uint64_t kTimeToTake = 10 * kSecond;
// Between another one's lock and its listener is a moment.
constexpr std::uint64_t kTimeToListen = 2 * kSecond;
constexpr std::uint64_t kTimeToCancel = 10 * kSecond;
constexpr std::uint32_t kMostIdleSeconds = 24 * 60 * 60;
constexpr const char* kSocket = "socket";
// There nobody can leave a listener or a lock to another process. The service makes both before it
// takes a request, and whoever starts it holds a lock beside its folder until then.
const bool kListensItself = platform::this_system() == platform::System::kWindows;
// Others wait for a moment, or there for a JVM.
const std::chrono::milliseconds kBetweenLooks(kListensItself ? 20 : 1);

// As ServiceFrame of the Java side.
enum FrameType : std::uint32_t {
  kHello = 1,
  kEnvironment = 2,
  kRequest = 3,
  kStatus = 4,
  kStop = 5,
  kCancel = 6,
  kTaken = 0x8001,
  kErrors = 0x8002,
  kOutput = 0x8003,
  kEnd = 0x8004,
};

// A service is for commands of one build, in equal surroundings.
std::string identity_of(const std::string& home) {
  std::error_code failure;
  const auto assembled =
      std::filesystem::last_write_time(platform::filesystem_path(home + "/lib/java"), failure);
  return "runhv " RUNHV_VERSION " at " + home + " of " +
         std::to_string(assembled.time_since_epoch().count()) + ", " + platform::surroundings() +
         ", java " + platform::environment("RUNHV_JAVA") + ", home " +
         platform::environment("RUNHV_HOME");
}

// FNV-1a: the folders of services that differ should; what they say to one another tells for sure.
std::string folder_name(const std::string& identity) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : identity) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
  return digits;
}

Result<std::string> service_folder(const std::string& identity) {
  RUNHV_TRY_ASSIGN(const std::string root, control::runhv_root(""));
  RUNHV_TRY_ASSIGN(const std::string services, control::root_folder(root, "service"));
  return services + "/" + folder_name(identity);
}

// Root connects to anybody's listener, on Windows a logon session to another one's; their requests
// are for their own service.
Result<platform::LocalConnection> connect(const std::string& folder) {
  RUNHV_TRY_ASSIGN(auto connection, platform::LocalConnection::connect(folder + "/" + kSocket));
  if (!connection.peer_is_ours()) {
    return Fail{Error{Code::kAccessDenied, kOperation, "it is another user's, or another logon's"}};
  }
  return connection;
}

// A connection to it, before it listens: it is answered first.
Result<platform::LocalConnection> start(const std::string& folder, const platform::FolderLock& lock,
                                        const std::string& home, const std::string& identity,
                                        const ServiceProgram& program) {
  std::vector<std::string> arguments = program.arguments;
  arguments.insert(arguments.end(), {folder, identity, std::to_string(program.idle_seconds)});
  platform::UniqueHandle input;
  if (kListensItself) {
    arguments.push_back(home + "/lib/" + platform::library_file("runhv-jni"));
  } else {
    RUNHV_TRY_ASSIGN(auto listener, platform::LocalListener::bind(folder, kSocket));
    RUNHV_TRY_ASSIGN(input, std::move(listener).release());
  }
  RUNHV_TRY_ASSIGN(auto ends, platform::LocalConnection::pair());
  const platform::UniqueHandle output = std::move(ends.second).release();
  // Nothing of this command's environment is the next one's. Its names are UTF-8.
  std::vector<std::string> environment{"LC_ALL=C.UTF-8"};
  if (const std::string named = platform::environment("RUNHV_HOME"); !named.empty()) {
    environment.push_back("RUNHV_HOME=" + named);
  }
  // The folder: as for a process of its own (java_arguments).
  RUNHV_TRY(platform::start_detached({.path = program.java,
                                      .arguments = arguments,
                                      .environment = environment,
                                      .folder = home,
                                      .input = input.get(),
                                      .output = output.get(),
                                      .kept = lock.handle()}));
  return std::move(ends.first);
}

std::vector<std::byte> environment_block() {
  std::vector<std::byte> block;
  for (const std::string& variable : platform::whole_environment()) {
    const auto bytes = as_bytes(std::string_view(variable.c_str(), variable.size() + 1));
    block.insert(block.end(), bytes.begin(), bytes.end());
  }
  return block;
}

// The frames of one connection.
class Frames {
 public:
  Frames(platform::LocalConnection connection, platform::SignalQueue* signals)
      : connection_(std::move(connection)), signals_(signals) {}

  Result<void> open() {
    RUNHV_TRY_ASSIGN(loop_, platform::EventLoop::create());
    RUNHV_TRY(connection_.bind(*loop_));
    if (signals_ != nullptr) RUNHV_TRY(signals_->bind(*loop_));
    return {};
  }

  void add(std::uint32_t type, std::span<const std::byte> payload) {
    const auto frame = control::encode_frame(type, 0, payload);
    unsent_.insert(unsent_.end(), frame.begin(), frame.end());
  }

  // The next frame, while what was added is sent. nullopt: a signal has come that asks us to end.
  // kClosed: the service has gone.
  Result<std::optional<control::Frame>> next(std::optional<std::uint64_t> deadline) {
    while (true) {
      RUNHV_TRY_ASSIGN(auto frame, reader_.next());
      if (frame) return frame;
      RUNHV_TRY(send());
      RUNHV_TRY_ASSIGN(const bool came, receive());
      if (came) continue;
      if (signals_ != nullptr && !signal_) signal_ = platform::next_that_ends(*signals_);
      if (signal_ && !told_signal_) {
        told_signal_ = true;
        return std::optional<control::Frame>();
      }
      if (deadline && platform::monotonic_ns() >= *deadline) {
        return Fail{Error{Code::kTimedOut, kOperation, "it does not answer"}};
      }
      connection_.on_readable([] {});
      if (sent_ != unsent_.size()) connection_.on_writable([] {});
      if (signals_ != nullptr) signals_->on_signal([] {});
      RUNHV_TRY(loop_->run_once(deadline));
    }
  }

  std::optional<int> signal() const { return signal_; }

 private:
  static Fail<Error> closed() {
    return Fail{
        Error{Code::kClosed, kOperation, "it ended in the middle of this request; try again"}};
  }

  Result<void> send() {
    while (sent_ != unsent_.size()) {
      const auto written = connection_.write(std::span(unsent_).subspan(sent_));
      if (written.status == platform::IoStatus::kWouldBlock) return {};
      // What it has said before it went can still be read.
      if (written.status != platform::IoStatus::kDone) {
        sent_ = unsent_.size();
        return {};
      }
      sent_ += written.bytes;
    }
    return {};
  }

  Result<bool> receive() {
    std::array<std::byte, 4096> bytes;
    const auto read = connection_.read(bytes);
    if (read.status == platform::IoStatus::kWouldBlock) return false;
    if (read.status != platform::IoStatus::kDone) return closed();
    reader_.append(std::span(bytes).first(read.bytes));
    return true;
  }

  platform::LocalConnection connection_;
  platform::SignalQueue* const signals_;
  std::unique_ptr<platform::EventLoop> loop_;
  control::FrameReader reader_{kMaxAnswerBytes};
  std::vector<std::byte> unsent_;
  std::size_t sent_ = 0;
  std::optional<int> signal_;
  bool told_signal_ = false;
};

// Until the service has closed the connection: then nothing of the request goes on.
void cancel(Frames& frames) {
  frames.add(kCancel, {});
  const std::uint64_t deadline = platform::monotonic_ns() + kTimeToCancel;
  while (frames.next(deadline)) {
  }
}

std::string_view text_of(const control::Frame& frame) {
  return {reinterpret_cast<const char*>(frame.payload.data()), frame.payload.size()};
}

// Reads on after the service has taken what it was asked for, or where it takes nothing.
Result<platform::Captured> read_answer_frames(Frames& frames,
                                              std::optional<std::uint64_t> deadline) {
  platform::Captured answer;
  while (true) {
    RUNHV_TRY_ASSIGN(const auto frame, frames.next(deadline));
    if (!frame) {
      cancel(frames);
      answer.asked_to_end = frames.signal();
      return answer;
    }
    const std::string_view text = text_of(*frame);
    switch (frame->header.type) {
      case kErrors:
        std::fwrite(text.data(), 1, text.size(), stderr);
        std::fflush(stderr);
        break;
      case kOutput:
        if (answer.output.size() + text.size() > kMaxAnswerBytes) {
          return Fail{
              Error{Code::kCorruptInput, kOperation,
                    "its answer is longer than " + std::to_string(kMaxAnswerBytes) + " bytes"}};
        }
        answer.output += text;
        break;
      case kEnd:
        answer.exit_status = text.empty() ? 1 : static_cast<unsigned char>(text.front());
        return answer;
      default:
        return Fail{Error{Code::kCorruptInput, kOperation,
                          "it sent a frame of type " + std::to_string(frame->header.type)}};
    }
  }
}

}  // namespace

Result<ServiceOptions> parse_service_options(const std::string& text) {
  ServiceOptions options;
  if (text.empty()) return options;
  if (text == "off") {
    options.used = false;
    return options;
  }
  const auto [end, failure] =
      std::from_chars(text.data(), text.data() + text.size(), options.idle_seconds);
  if (failure != std::errc() || end != text.data() + text.size() || options.idle_seconds == 0 ||
      options.idle_seconds > kMostIdleSeconds) {
    return Fail{Error{Code::kInvalidArgument, "use the image service",
                      "RUNHV_SERVICE=" + text + ": expected off, or the seconds without a " +
                          "request after which it ends, 1 to " + std::to_string(kMostIdleSeconds)}};
  }
  return options;
}

Result<ImageService> ImageService::find(const std::string& home) {
  const std::string identity = identity_of(home);
  RUNHV_TRY_ASSIGN(const std::string folder, service_folder(identity));
  auto connection = connect(folder);
  if (connection) return ImageService(*std::move(connection), identity);
  if (connection.error().code == Code::kNotFound) {
    sweep_unlocked(platform::path_text(platform::filesystem_path(folder).parent_path()));
  }
  return Fail{std::move(connection).error()};
}

Result<ImageService> ImageService::find_or_start(const std::string& home,
                                                 const ServiceProgram& program) {
  const std::string identity = identity_of(home);
  RUNHV_TRY_ASSIGN(const std::string folder, service_folder(identity));
  const std::uint64_t deadline =
      platform::monotonic_ns() + (kListensItself ? kTimeToTake : kTimeToListen);
  const std::string locked = kListensItself ? folder + ".start" : folder;
  while (true) {
    auto connection = connect(folder);
    if (connection) return ImageService(*std::move(connection), identity);
    if (connection.error().code != Code::kNotFound || platform::monotonic_ns() >= deadline) {
      return Fail{std::move(connection).error()};
    }
    RUNHV_TRY(platform::make_private_directory(locked));
    auto lock = platform::FolderLock::acquire(locked);
    if (lock) {
      // Since then another command may have started one, and given its lock up.
      if (kListensItself) connection = connect(folder);
      const bool starts = !connection;
      if (starts && connection.error().code != Code::kNotFound) {
        return Fail{std::move(connection).error()};
      }
      if (starts) {
        RUNHV_TRY_ASSIGN(connection, start(folder, *lock, home, identity, program));
      }
      ImageService service(*std::move(connection), identity);
      if (starts && kListensItself) service.starting_ = *std::move(lock);
      return service;
    } else if (lock.error().code == Code::kConflict) {
      // Another command is about to listen, or to have started who does.
      std::this_thread::sleep_for(kBetweenLooks);
    } else if (lock.error().code != Code::kNotFound) {
      return Fail{lock.error()};
    }
  }
}

Result<std::optional<platform::Captured>> ImageService::ask(const std::string& request,
                                                            platform::SignalQueue* signals) && {
  const std::vector<std::byte> environment = environment_block();
  // What a frame does not hold is for a process of its own.
  if (environment.size() > RUNHV_CONTROL_MAX_PAYLOAD || request.size() > RUNHV_CONTROL_MAX_PAYLOAD)
    return std::optional<platform::Captured>();
  Frames frames(std::move(connection_), signals);
  RUNHV_TRY(frames.open());
  frames.add(kHello, as_bytes(std::string_view(identity_)));
  frames.add(kEnvironment, environment);
  frames.add(kRequest, as_bytes(std::string_view(request)));
  const auto taken = frames.next(platform::monotonic_ns() + kTimeToTake);
  let_others_in();
  if (taken && !*taken) {
    cancel(frames);
    platform::Captured answer;
    answer.asked_to_end = frames.signal();
    return std::optional(std::move(answer));
  }
  if (!taken && taken.error().code == Code::kClosed) {
    return Fail{Error{Code::kNotFound, kOperation, "it went before it took the request"}};
  }
  if (!taken || (*taken)->header.type != kTaken) return std::optional<platform::Captured>();
  RUNHV_TRY_ASSIGN(platform::Captured answer, read_answer_frames(frames, std::nullopt));
  return std::optional(std::move(answer));
}

Result<std::string> ImageService::place() && {
  RUNHV_TRY_ASSIGN(const std::string folder, service_folder(identity_));
  const std::string place = folder + "/" + kSocket + "\n" + identity_ + "\n";
  if (starting_) RUNHV_TRY(std::move(*this).say(kStatus));
  return place;
}

void ImageService::let_others_in() {
  if (!starting_) return;
  static_cast<void>((*std::move(starting_)).remove_folder());
  starting_.reset();
}

Result<std::string> ImageService::say(std::uint32_t type) && {
  Frames frames(std::move(connection_), nullptr);
  RUNHV_TRY(frames.open());
  frames.add(kHello, as_bytes(std::string_view(identity_)));
  frames.add(type, {});
  RUNHV_TRY_ASSIGN(const platform::Captured answer,
                   read_answer_frames(frames, platform::monotonic_ns() + kTimeToTake));
  let_others_in();
  return answer.output;
}

Result<std::string> ImageService::status() && { return std::move(*this).say(kStatus); }

Result<std::string> ImageService::stop() && {
  RUNHV_TRY_ASSIGN(const std::string pid, std::move(*this).say(kStop));
  std::uint64_t number = 0;
  std::from_chars(pid.data(), pid.data() + pid.size(), number);
  auto end = platform::ProcessEnd::watch(number);
  if (!end && end.error().code == Code::kNotFound) return std::string();
  if (!end) return Fail{end.error()};
  RUNHV_TRY_ASSIGN(const auto loop, platform::EventLoop::create());
  RUNHV_TRY(end->bind(*loop));
  bool ended = false;
  end->on_end([&ended] { ended = true; });
  while (!ended) RUNHV_TRY(loop->run_once(std::nullopt));
  return std::string();
}

}  // namespace runhv::cli
