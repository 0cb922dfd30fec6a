// The one way in which an error of the core crosses into Java.
#pragma once

#include <jni.h>

#include "runhv/runhv.h"

namespace runhv {

// Leaves a dev.runhv.vmm.nativebind.NativeFailure pending; the caller returns to Java at once.
void throw_failure(JNIEnv* env, const runhv_error& error);

}  // namespace runhv
