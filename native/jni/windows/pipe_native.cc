// dev.runhv.vmm.nativebind.PipeNative: local sockets for threads of a JVM that wait, since the JDK
// makes no pipe.

#include <jni.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/abi.h"
#include "base/result.h"
#include "jni/throw.h"
#include "platform/event_loop.h"
#include "platform/file.h"
#include "platform/folder_lock.h"
#include "platform/local_socket.h"
#include "platform/standard_streams.h"
#include "platform/windows/waiting_pipe.h"

namespace runhv::jni {
namespace {

constexpr const char* kSocket = "socket";
// Of one call: each copies.
constexpr jsize kMostBytes = 64 * 1024;
// Each command that finds no service sweeps the folders that nobody holds, once.
constexpr int kTimesSwept = 16;

// Makes the folder, and holds it.
Result<platform::FolderLock> hold(const std::string& folder) {
  for (int swept = 0;; ++swept) {
    RUNHV_TRY(platform::make_private_directory(folder));
    auto lock = platform::FolderLock::acquire(folder);
    if (lock || lock.error().code != Code::kNotFound || swept == kTimesSwept) return lock;
  }
}

// A folder of this process, and who listens there. Threads: any; one accepts.
class Listener {
 public:
  static Result<std::unique_ptr<Listener>> create(const std::string& folder) {
    RUNHV_TRY_ASSIGN(auto lock, hold(folder));
    RUNHV_TRY_ASSIGN(auto socket, platform::LocalListener::bind(folder, kSocket));
    RUNHV_TRY_ASSIGN(auto loop, platform::EventLoop::create());
    RUNHV_TRY(socket.bind(*loop));
    return std::unique_ptr<Listener>(
        new Listener(std::move(lock), std::move(socket), std::move(loop)));
  }

  // Waits for the next client of this user and logon; none once close() was called.
  Result<std::unique_ptr<platform::WaitingPipe>> accept() {
    while (true) {
      {
        const std::lock_guard guard(mutex_);
        if (closed_) return std::unique_ptr<platform::WaitingPipe>();
        if (socket_) {
          RUNHV_TRY_ASSIGN(auto connection, socket_->accept());
          // Every listener lets the system's own and all of the user's logons in. This one serves
          // those who may do the same.
          if (connection && !connection->peer_is_ours()) continue;
          if (connection) {
            return platform::WaitingPipe::adopt_owned((*std::move(connection)).release());
          }
          socket_->on_connection([] {});
        }
      }
      RUNHV_TRY(loop_->run_once(std::nullopt));
    }
  }

  // Takes the folder away: another process may have it.
  Result<void> withdraw() {
    const std::lock_guard guard(mutex_);
    socket_.reset();
    if (!lock_) return {};
    platform::FolderLock lock = *std::move(lock_);
    lock_.reset();
    return std::move(lock).remove_folder();
  }

  void close() {
    {
      const std::lock_guard guard(mutex_);
      closed_ = true;
    }
    loop_->post([] {});
  }

 private:
  Listener(platform::FolderLock lock, platform::LocalListener socket,
           std::unique_ptr<platform::EventLoop> loop)
      : lock_(std::move(lock)), loop_(std::move(loop)), socket_(std::move(socket)) {}

  std::mutex mutex_;
  std::optional<platform::FolderLock> lock_;
  std::unique_ptr<platform::EventLoop> loop_;
  std::optional<platform::LocalListener> socket_;
  bool closed_ = false;
};

// Connections by numbers, which are used once: a late call finds nothing.
class Connections {
 public:
  jlong add(std::unique_ptr<platform::WaitingPipe> pipe) {
    const std::lock_guard guard(mutex_);
    pipes_.emplace(++last_, std::move(pipe));
    return last_;
  }
  std::shared_ptr<platform::WaitingPipe> find(jlong number) {
    const std::lock_guard guard(mutex_);
    const auto found = pipes_.find(number);
    return found == pipes_.end() ? nullptr : found->second;
  }
  // Who is in a call of it has it until that ends.
  void close(jlong number) {
    const auto pipe = find(number);
    if (pipe == nullptr) return;
    pipe->close();
    const std::lock_guard guard(mutex_);
    pipes_.erase(number);
  }

 private:
  std::mutex mutex_;
  std::map<jlong, std::shared_ptr<platform::WaitingPipe>> pipes_;
  jlong last_ = 0;
};

// Never destroyed: threads of the JVM may be in a call when the process ends.
Connections& connections() {
  static Connections& all = *new Connections;
  return all;
}

Listener& listener_of(jlong handle) {
  return *reinterpret_cast<Listener*>(handle);  // NOLINT(performance-no-int-to-ptr): what it was
}

// 0 with the exception pending where there is none, and without one where `pipe` is null.
jlong added(JNIEnv* env, Result<std::unique_ptr<platform::WaitingPipe>> pipe) {
  if (!pipe) {
    throw_failure(env, api::to_abi(pipe.error()));
    return 0;
  }
  return *pipe == nullptr ? 0 : connections().add(*std::move(pipe));
}

}  // namespace
}  // namespace runhv::jni

#define RUNHV_PIPE_JNI(type, name) \
  extern "C" JNIEXPORT type JNICALL Java_dev_runhv_vmm_nativebind_PipeNative_##name

// One for the life of the process: what it holds goes with withdraw() and close().
RUNHV_PIPE_JNI(jlong, listen)(JNIEnv* env, jclass, jbyteArray folder) {
  std::string text(static_cast<std::size_t>(env->GetArrayLength(folder)), '\0');
  env->GetByteArrayRegion(folder, 0, static_cast<jsize>(text.size()),
                          reinterpret_cast<jbyte*>(text.data()));
  auto listener = runhv::jni::Listener::create(text);
  if (!listener) {
    runhv::jni::throw_failure(env, runhv::api::to_abi(listener.error()));
    return 0;
  }
  return reinterpret_cast<jlong>((*std::move(listener)).release());
}

RUNHV_PIPE_JNI(jlong, accept)(JNIEnv* env, jclass, jlong listener) {
  return runhv::jni::added(env, runhv::jni::listener_of(listener).accept());
}

RUNHV_PIPE_JNI(void, withdraw)(JNIEnv* env, jclass, jlong listener) {
  const auto removed = runhv::jni::listener_of(listener).withdraw();
  if (!removed) runhv::jni::throw_failure(env, runhv::api::to_abi(removed.error()));
}

RUNHV_PIPE_JNI(void, closeListener)(JNIEnv*, jclass, jlong listener) {
  runhv::jni::listener_of(listener).close();
}

RUNHV_PIPE_JNI(jlong, standardOutput)(JNIEnv* env, jclass) {
  return runhv::jni::added(
      env, runhv::platform::WaitingPipe::adopt(runhv::platform::standard_stream(1)));
}

RUNHV_PIPE_JNI(jint, read)(JNIEnv* env, jclass, jlong connection, jbyteArray to) {
  const auto pipe = runhv::jni::connections().find(connection);
  std::vector<std::byte> bytes(
      static_cast<std::size_t>(std::min(env->GetArrayLength(to), runhv::jni::kMostBytes)));
  if (pipe == nullptr) return -1;
  const auto result = pipe->read(bytes);
  if (result.status != runhv::platform::IoStatus::kDone) return -1;
  const auto count = static_cast<jsize>(result.bytes);
  env->SetByteArrayRegion(to, 0, count, reinterpret_cast<const jbyte*>(bytes.data()));
  return count;
}

RUNHV_PIPE_JNI(jboolean, write)(JNIEnv* env, jclass, jlong connection, jbyteArray from) {
  const auto pipe = runhv::jni::connections().find(connection);
  if (pipe == nullptr) return JNI_FALSE;
  std::vector<std::byte> bytes(static_cast<std::size_t>(env->GetArrayLength(from)));
  env->GetByteArrayRegion(from, 0, static_cast<jsize>(bytes.size()),
                          reinterpret_cast<jbyte*>(bytes.data()));
  return pipe->write(bytes).status == runhv::platform::IoStatus::kDone ? JNI_TRUE : JNI_FALSE;
}

RUNHV_PIPE_JNI(void, close)(JNIEnv*, jclass, jlong connection) {
  runhv::jni::connections().close(connection);
}
