#include "jni/throw.h"

#include <cstring>

namespace runhv {
namespace {

// Bytes, not NewStringUTF: that expects Java's modified UTF-8 and may end the JVM on anything else.
jbyteArray to_bytes(JNIEnv* env, const char* text) {
  const auto size = static_cast<jsize>(std::strlen(text));
  jbyteArray bytes = env->NewByteArray(size);
  if (bytes != nullptr) {
    env->SetByteArrayRegion(bytes, 0, size, reinterpret_cast<const jbyte*>(text));
  }
  return bytes;
}

}  // namespace

void throw_failure(JNIEnv* env, const runhv_error& error) {
  jclass type = env->FindClass("dev/runhv/vmm/nativebind/NativeFailure");
  if (type == nullptr) return;  // NoClassDefFoundError is pending
  jmethodID constructor = env->GetMethodID(type, "<init>", "(IIJ[B[B)V");
  if (constructor == nullptr) return;
  jbyteArray operation = to_bytes(env, error.operation);
  if (operation == nullptr) return;
  jbyteArray detail = to_bytes(env, error.detail);
  if (detail == nullptr) return;
  auto* failure = static_cast<jthrowable>(env->NewObject(
      type, constructor, static_cast<jint>(error.code), static_cast<jint>(error.domain),
      static_cast<jlong>(error.os_code), operation, detail));
  if (failure != nullptr) env->Throw(failure);
}

}  // namespace runhv
