// dev.runhv.vmm.nativebind.RunhvNative: the core's C interface for Java. Primitives and byte arrays
// only; a structure crosses as its bytes, which Java reads as it reads the control channel's.

#include <jni.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "jni/throw.h"
#include "runhv/runhv.h"

namespace runhv::jni {
namespace {

template <class T>
T sized() {
  T value{};
  value.struct_size = sizeof value;
  return value;
}

// Empty for null. Java appends no NUL; one inside would cut the text short, so Java refuses it.
std::string to_string(JNIEnv* env, jbyteArray bytes) {
  if (bytes == nullptr) return {};
  std::string text(static_cast<std::size_t>(env->GetArrayLength(bytes)), '\0');
  env->GetByteArrayRegion(bytes, 0, static_cast<jsize>(text.size()),
                          reinterpret_cast<jbyte*>(text.data()));
  return text;
}

const char* null_if_empty(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

jlongArray to_java(JNIEnv* env, std::initializer_list<std::uint64_t> numbers) {
  const auto count = static_cast<jsize>(numbers.size());
  jlongArray array = env->NewLongArray(count);
  for (jsize i = 0; array != nullptr && i < count; ++i) {
    const auto number = static_cast<jlong>(numbers.begin()[i]);
    env->SetLongArrayRegion(array, i, 1, &number);
  }
  return array;
}

// Calls a function of the interface with an error of its own; false with the exception pending.
template <class Call>
bool succeeds(JNIEnv* env, Call call) {
  auto error = sized<runhv_error>();
  if (call(&error) == RUNHV_OK) return true;
  throw_failure(env, error);
  return false;
}

// A structure that a function fills; null with the exception pending.
template <class T, class Call>
jbyteArray filled(JNIEnv* env, Call call) {
  auto value = sized<T>();
  if (!succeeds(env, [&](runhv_error* error) { return call(&value, error); })) return nullptr;
  return to_bytes(env, &value, sizeof value);
}

runhv_vm vm_of(jlong handle) { return static_cast<runhv_vm>(handle); }

}  // namespace
}  // namespace runhv::jni

#define RUNHV_JNI(type, name) \
  extern "C" JNIEXPORT type JNICALL Java_dev_runhv_vmm_nativebind_RunhvNative_##name

RUNHV_JNI(jint, abiVersion)(JNIEnv*, jclass) { return static_cast<jint>(runhv_abi_version()); }

RUNHV_JNI(jlong, create)
(JNIEnv* env, jclass, jbyteArray id, jbyteArray bundle, jbyteArray engine, jbyteArray kernel,
 jbyteArray initrd, jbyteArray scratch, jlong standard_input, jlong standard_output,
 jlong standard_error) {
  const std::string id_text = runhv::jni::to_string(env, id);
  const std::string bundle_text = runhv::jni::to_string(env, bundle);
  const std::string engine_text = runhv::jni::to_string(env, engine);
  const std::string kernel_text = runhv::jni::to_string(env, kernel);
  const std::string initrd_text = runhv::jni::to_string(env, initrd);
  const std::string scratch_text = runhv::jni::to_string(env, scratch);
  auto config = runhv::jni::sized<runhv_vm_config>();
  config.id = id_text.c_str();
  config.bundle = bundle_text.c_str();
  config.engine = runhv::jni::null_if_empty(engine_text);
  config.default_kernel = runhv::jni::null_if_empty(kernel_text);
  config.default_initrd = runhv::jni::null_if_empty(initrd_text);
  config.default_scratch = runhv::jni::null_if_empty(scratch_text);
  config.stdio[RUNHV_STDIN] = standard_input;
  config.stdio[RUNHV_STDOUT] = standard_output;
  config.stdio[RUNHV_STDERR] = standard_error;
  runhv_vm vm = 0;
  runhv::jni::succeeds(env,
                       [&](runhv_error* error) { return runhv_vm_create(&config, &vm, error); });
  return static_cast<jlong>(vm);
}

RUNHV_JNI(void, boot)(JNIEnv* env, jclass, jlong vm) {
  runhv::jni::succeeds(
      env, [&](runhv_error* error) { return runhv_vm_boot(runhv::jni::vm_of(vm), error); });
}

RUNHV_JNI(void, start)(JNIEnv* env, jclass, jlong vm) {
  runhv::jni::succeeds(
      env, [&](runhv_error* error) { return runhv_vm_start(runhv::jni::vm_of(vm), error); });
}

// runhv_event; null where there is none now.
RUNHV_JNI(jbyteArray, event)(JNIEnv* env, jclass, jlong vm) {
  auto error = runhv::jni::sized<runhv_error>();
  auto event = runhv::jni::sized<runhv_event>();
  const std::int32_t code = runhv_vm_event(runhv::jni::vm_of(vm), &event, &error);
  if (code == RUNHV_NOT_FOUND) return nullptr;
  if (code != RUNHV_OK) {
    runhv::jni::throw_failure(env, error);
    return nullptr;
  }
  return runhv::jni::to_bytes(env, &event, sizeof event);
}

RUNHV_JNI(jlong, eventHandle)(JNIEnv* env, jclass, jlong vm) {
  std::int64_t handle = -1;
  runhv::jni::succeeds(env, [&](runhv_error* error) {
    return runhv_vm_event_handle(runhv::jni::vm_of(vm), &handle, error);
  });
  return handle;
}

RUNHV_JNI(jbyteArray, state)(JNIEnv* env, jclass, jlong vm) {
  return runhv::jni::filled<runhv_state>(env, [&](runhv_state* state, runhv_error* error) {
    return runhv_vm_state(runhv::jni::vm_of(vm), state, error);
  });
}

RUNHV_JNI(jbyteArray, statistics)(JNIEnv* env, jclass, jlong vm) {
  return runhv::jni::filled<runhv_statistics>(
      env, [&](runhv_statistics* statistics, runhv_error* error) {
        return runhv_vm_statistics(runhv::jni::vm_of(vm), statistics, error);
      });
}

RUNHV_JNI(void, signal)(JNIEnv* env, jclass, jlong vm, jint process, jint number) {
  runhv::jni::succeeds(env, [&](runhv_error* error) {
    return runhv_vm_signal(runhv::jni::vm_of(vm), static_cast<runhv_process>(process), number,
                           error);
  });
}

RUNHV_JNI(void, stop)(JNIEnv* env, jclass, jlong vm, jint number, jint grace_ms) {
  runhv::jni::succeeds(env, [&](runhv_error* error) {
    return runhv_vm_stop(runhv::jni::vm_of(vm), number, static_cast<std::uint32_t>(grace_ms),
                         error);
  });
}

RUNHV_JNI(void, pause)(JNIEnv* env, jclass, jlong vm) {
  runhv::jni::succeeds(
      env, [&](runhv_error* error) { return runhv_vm_pause(runhv::jni::vm_of(vm), error); });
}

RUNHV_JNI(void, resume)(JNIEnv* env, jclass, jlong vm) {
  runhv::jni::succeeds(
      env, [&](runhv_error* error) { return runhv_vm_resume(runhv::jni::vm_of(vm), error); });
}

RUNHV_JNI(jint, startProcess)
(JNIEnv* env, jclass, jlong vm, jbyteArray json, jlong standard_input, jlong standard_output,
 jlong standard_error) {
  const std::string text = runhv::jni::to_string(env, json);
  auto config = runhv::jni::sized<runhv_process_config>();
  config.json = text.c_str();
  config.stdio[RUNHV_STDIN] = standard_input;
  config.stdio[RUNHV_STDOUT] = standard_output;
  config.stdio[RUNHV_STDERR] = standard_error;
  runhv_process process = 0;
  runhv::jni::succeeds(env, [&](runhv_error* error) {
    return runhv_process_start(runhv::jni::vm_of(vm), &config, &process, error);
  });
  return static_cast<jint>(process);
}

// Its address and its size.
RUNHV_JNI(jlongArray, statisticsPage)(JNIEnv* env, jclass, jlong vm) {
  const runhv_statistics_page* page = nullptr;
  std::uint64_t size_bytes = 0;
  if (!runhv::jni::succeeds(env, [&](runhv_error* error) {
        return runhv_vm_statistics_page(runhv::jni::vm_of(vm), &page, &size_bytes, error);
      })) {
    return nullptr;
  }
  return runhv::jni::to_java(env, {reinterpret_cast<std::uintptr_t>(page), size_bytes});
}

// Guest-physical address, address, size; null after the last.
RUNHV_JNI(jlongArray, guestMemory)(JNIEnv* env, jclass, jlong vm, jint index) {
  auto error = runhv::jni::sized<runhv_error>();
  auto memory = runhv::jni::sized<runhv_guest_memory>();
  const std::int32_t code = runhv_vm_guest_memory(
      runhv::jni::vm_of(vm), static_cast<std::uint32_t>(index), &memory, &error);
  if (code == RUNHV_NOT_FOUND) return nullptr;
  if (code != RUNHV_OK) {
    runhv::jni::throw_failure(env, error);
    return nullptr;
  }
  return runhv::jni::to_java(
      env, {memory.address, reinterpret_cast<std::uintptr_t>(memory.bytes), memory.size_bytes});
}

RUNHV_JNI(void, destroy)(JNIEnv* env, jclass, jlong vm) {
  runhv::jni::succeeds(
      env, [&](runhv_error* error) { return runhv_vm_destroy(runhv::jni::vm_of(vm), error); });
}
