#include "jni/throw.h"

namespace runhv::jni {

jbyteArray to_bytes(JNIEnv* env, const void* bytes, std::size_t size) {
  jbyteArray array = env->NewByteArray(static_cast<jsize>(size));
  if (array != nullptr) {
    env->SetByteArrayRegion(array, 0, static_cast<jsize>(size), static_cast<const jbyte*>(bytes));
  }
  return array;
}

void throw_failure(JNIEnv* env, const runhv_error& error) {
  jclass type = env->FindClass("dev/runhv/vmm/nativebind/NativeFailure");
  if (type == nullptr) return;  // NoClassDefFoundError is pending
  jmethodID constructor = env->GetMethodID(type, "<init>", "([B)V");
  if (constructor == nullptr) return;
  jbyteArray bytes = to_bytes(env, &error, sizeof error);
  if (bytes == nullptr) return;
  auto* failure = static_cast<jthrowable>(env->NewObject(type, constructor, bytes));
  if (failure != nullptr) env->Throw(failure);
}

}  // namespace runhv::jni
