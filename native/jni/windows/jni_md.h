// What jni.h asks of a system, for Windows on x86-64: a JDK for Linux has Linux's alone.
#pragma once

#define JNIEXPORT __declspec(dllexport)
#define JNIIMPORT __declspec(dllimport)

typedef int jint;
typedef long long jlong;
typedef signed char jbyte;
