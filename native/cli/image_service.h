// The image service: one Java process of this user that answers requests of docs/prepare.md, and
// stays for the next one (docs/service.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "platform/folder_lock.h"
#include "platform/local_socket.h"
#include "platform/process.h"
#include "platform/signals.h"

namespace runhv::cli {

inline constexpr std::uint64_t kMaxAnswerBytes = 1 << 20;

struct ServiceOptions {
  bool used = true;
  std::uint32_t idle_seconds = 600;  // without a client, then it ends
};

// From RUNHV_SERVICE: "off", or the idle seconds, 1 to 86400; empty as usual.
Result<ServiceOptions> parse_service_options(const std::string& text);

// What a service is started with.
struct ServiceProgram {
  std::string java;
  std::vector<std::string> arguments;  // up to the class that is run
  std::uint32_t idle_seconds;
};

// A connection to the service of this user for the distribution at `home`, for one request.
class ImageService {
 public:
  // kNotFound where none runs.
  static Result<ImageService> find(const std::string& home);
  // Starts one where none runs. Of several that come at once, one does.
  static Result<ImageService> find_or_start(const std::string& home, const ServiceProgram& program);

  // The answer to a request; what it says meanwhile goes to our stderr. nullopt: it does not
  // take the request, or not in time; kNotFound: it went before it had taken it. A signal in
  // `signals` that asks us to end cancels it: nothing of it goes on any more then.
  Result<std::optional<platform::Captured>> ask(const std::string& request,
                                                platform::SignalQueue* signals) &&;
  // For a client that is no command: the socket's path, a newline, and what it says first.
  // kClosed where it went before it listened.
  Result<std::string> place() &&;
  // One line about it. kClosed where it went meanwhile.
  Result<std::string> status() &&;
  // It takes no further request; waits until it has ended, after those that it has taken. Gives an
  // empty text; kClosed as status().
  Result<std::string> stop() &&;

 private:
  ImageService(platform::LocalConnection connection, std::string identity)
      : connection_(std::move(connection)), identity_(std::move(identity)) {}
  Result<std::string> say(std::uint32_t type) &&;
  void let_others_in();

  platform::LocalConnection connection_;
  std::string identity_;
  // Of the one that this process has started, until it listens: nobody else starts one meanwhile.
  std::optional<platform::FolderLock> starting_;
};

}  // namespace runhv::cli
