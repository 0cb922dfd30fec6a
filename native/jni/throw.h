// The one way in which an error of the core crosses into Java.
#pragma once

#include <jni.h>

#include <cstddef>

#include "runhv/runhv.h"

namespace runhv::jni {

// Null with OutOfMemoryError pending.
jbyteArray to_bytes(JNIEnv* env, const void* bytes, std::size_t size);

// Leaves a dev.runhv.vmm.nativebind.NativeFailure pending; the caller returns to Java at once.
void throw_failure(JNIEnv* env, const runhv_error& error);

}  // namespace runhv::jni
