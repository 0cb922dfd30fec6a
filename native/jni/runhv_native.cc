// dev.runhv.vmm.nativebind.RunhvNative: the core's C interface for Java. Primitives and byte arrays
// only, so that no layout of a structure is known on both sides.

#include <jni.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "jni/throw.h"
#include "runhv/runhv.h"

namespace runhv {
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

// As much as fits, with a NUL where there is room for one.
void fill(JNIEnv* env, jbyteArray target, const std::string& text) {
  const std::string terminated = text + '\0';
  const auto room = static_cast<std::size_t>(env->GetArrayLength(target));
  const std::size_t size = terminated.size() < room ? terminated.size() : room;
  env->SetByteArrayRegion(target, 0, static_cast<jsize>(size),
                          reinterpret_cast<const jbyte*>(terminated.data()));
}

jlongArray to_java(JNIEnv* env, std::initializer_list<std::uint64_t> numbers) {
  const auto count = static_cast<jsize>(numbers.size());
  jlongArray array = env->NewLongArray(count);
  for (jsize i = 0; array != nullptr && i < count; ++i) {
    const auto number = static_cast<jlong>(numbers.begin()[i]);
    env->SetLongArrayRegion(array, i, 1, &number);
  }
  return array;
}

class LongPacker {
 public:
  void add(std::uint64_t value) { values_[count_++] = static_cast<jlong>(value); }
  void add(const runhv_exit_counts& exits) {
    for (const std::uint64_t count :
         {exits.io_port, exits.mmio, exits.cpuid, exits.msr, exits.halt, exits.interrupt_window,
          exits.apic_eoi, exits.canceled, exits.other, exits.all}) {
      add(count);
    }
  }
  jlongArray to_java(JNIEnv* env) const {
    jlongArray array = env->NewLongArray(count_);
    if (array != nullptr) env->SetLongArrayRegion(array, 0, count_, values_);
    return array;
  }

 private:
  // RunhvNative.STATISTICS: spawned_at, a start and a duration per stage, twice ten exits, four
  // more.
  jlong values_[1 + 2 * RUNHV_STAGE_COUNT + 2 * 10 + 4]{};
  jsize count_ = 0;
};

}  // namespace
}  // namespace runhv

#define RUNHV_JNI(type, name) \
  extern "C" JNIEXPORT type JNICALL Java_dev_runhv_vmm_nativebind_RunhvNative_##name

RUNHV_JNI(jint, abiVersion)(JNIEnv*, jclass) { return static_cast<jint>(runhv_abi_version()); }

RUNHV_JNI(jlong, create)
(JNIEnv* env, jclass, jbyteArray id, jbyteArray bundle, jbyteArray engine, jbyteArray kernel,
 jbyteArray initrd, jbyteArray scratch, jlong standard_input, jlong standard_output,
 jlong standard_error) {
  const std::string id_text = runhv::to_string(env, id);
  const std::string bundle_text = runhv::to_string(env, bundle);
  const std::string engine_text = runhv::to_string(env, engine);
  const std::string kernel_text = runhv::to_string(env, kernel);
  const std::string initrd_text = runhv::to_string(env, initrd);
  const std::string scratch_text = runhv::to_string(env, scratch);
  auto config = runhv::sized<runhv_vm_config>();
  config.id = id_text.c_str();
  config.bundle = bundle_text.c_str();
  config.engine = runhv::null_if_empty(engine_text);
  config.default_kernel = runhv::null_if_empty(kernel_text);
  config.default_initrd = runhv::null_if_empty(initrd_text);
  config.default_scratch = runhv::null_if_empty(scratch_text);
  config.stdio[RUNHV_STDIN] = standard_input;
  config.stdio[RUNHV_STDOUT] = standard_output;
  config.stdio[RUNHV_STDERR] = standard_error;
  runhv_vm vm = 0;
  auto error = runhv::sized<runhv_error>();
  if (runhv_vm_create(&config, &vm, &error) != RUNHV_OK) runhv::throw_failure(env, error);
  return static_cast<jlong>(vm);
}

RUNHV_JNI(void, start)(JNIEnv* env, jclass, jlong vm) {
  auto error = runhv::sized<runhv_error>();
  if (runhv_vm_start(static_cast<runhv_vm>(vm), &error) != RUNHV_OK) {
    runhv::throw_failure(env, error);
  }
}

// end << 32 | value, or -1 where the time has passed. `reason` gets "operation: detail" of a
// container that was not started.
RUNHV_JNI(jlong, await)(JNIEnv* env, jclass, jlong vm, jint timeout_ms, jbyteArray reason) {
  auto error = runhv::sized<runhv_error>();
  auto status = runhv::sized<runhv_exit_status>();
  const int32_t code = runhv_vm_wait(static_cast<runhv_vm>(vm),
                                     static_cast<std::uint32_t>(timeout_ms), &status, &error);
  if (code == RUNHV_TIMED_OUT) return -1;
  if (code != RUNHV_OK) {
    runhv::throw_failure(env, error);
    return -1;
  }
  if (status.end == RUNHV_END_NOT_STARTED) {
    runhv::fill(env, reason, std::string(error.operation) + ": " + error.detail);
  }
  return static_cast<jlong>(status.end) << 32 | static_cast<jlong>(status.value & 0xffff);
}

RUNHV_JNI(void, signal)(JNIEnv* env, jclass, jlong vm, jint number) {
  auto error = runhv::sized<runhv_error>();
  if (runhv_vm_signal(static_cast<runhv_vm>(vm), number, &error) != RUNHV_OK) {
    runhv::throw_failure(env, error);
  }
}

RUNHV_JNI(jlongArray, statistics)
(JNIEnv* env, jclass, jlong vm, jbyteArray engine, jbyteArray kernel) {
  auto error = runhv::sized<runhv_error>();
  auto statistics = runhv::sized<runhv_statistics>();
  if (runhv_vm_statistics(static_cast<runhv_vm>(vm), &statistics, &error) != RUNHV_OK) {
    runhv::throw_failure(env, error);
    return nullptr;
  }
  runhv::fill(env, engine, statistics.engine);
  runhv::fill(env, kernel, statistics.kernel);
  runhv::LongPacker pack;
  pack.add(statistics.spawned_at_ns);
  for (const auto& stage : statistics.stages) {
    pack.add(stage.start_ns);
    pack.add(stage.duration_ns);
  }
  pack.add(statistics.exits_to_first_instruction);
  pack.add(statistics.exits_total);
  pack.add(statistics.instructions_to_first_instruction);
  pack.add(statistics.instructions_total);
  pack.add(statistics.private_bytes);
  pack.add(statistics.guest_memory_resident_bytes);
  return pack.to_java(env);
}

// Its address and its size.
RUNHV_JNI(jlongArray, statisticsPage)(JNIEnv* env, jclass, jlong vm) {
  auto error = runhv::sized<runhv_error>();
  const runhv_statistics_page* page = nullptr;
  std::uint64_t size_bytes = 0;
  if (runhv_vm_statistics_page(static_cast<runhv_vm>(vm), &page, &size_bytes, &error) != RUNHV_OK) {
    runhv::throw_failure(env, error);
    return nullptr;
  }
  return runhv::to_java(env, {reinterpret_cast<std::uintptr_t>(page), size_bytes});
}

// Guest-physical address, address, size; null after the last.
RUNHV_JNI(jlongArray, guestMemory)(JNIEnv* env, jclass, jlong vm, jint index) {
  auto error = runhv::sized<runhv_error>();
  auto memory = runhv::sized<runhv_guest_memory>();
  const std::int32_t code = runhv_vm_guest_memory(
      static_cast<runhv_vm>(vm), static_cast<std::uint32_t>(index), &memory, &error);
  if (code == RUNHV_NOT_FOUND) return nullptr;
  if (code != RUNHV_OK) {
    runhv::throw_failure(env, error);
    return nullptr;
  }
  return runhv::to_java(
      env, {memory.address, reinterpret_cast<std::uintptr_t>(memory.bytes), memory.size_bytes});
}

RUNHV_JNI(void, destroy)(JNIEnv* env, jclass, jlong vm) {
  auto error = runhv::sized<runhv_error>();
  if (runhv_vm_destroy(static_cast<runhv_vm>(vm), &error) != RUNHV_OK) {
    runhv::throw_failure(env, error);
  }
}
