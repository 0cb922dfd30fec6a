// Where an OCI verb says what went wrong: stderr, and the file of --log that its caller reads.
#pragma once

#include <string>

#include "base/error.h"
#include "oci/arguments.h"

namespace runhv::oci {

inline constexpr int kVerbFailed = 1;  // as runc

enum class Level { kWarning, kError };

// As runc says it where its callers look for its words: a program that is not there, or may not be
// executed; else as to_string().
std::string words(const Error& error);

// One line on stderr, and one entry of the log: a JSON object as logrus writes it ("level", "msg",
// "time"), or its text form. The last error in the file is what callers show.
void report(const Globals& globals, Level level, const Error& error);

}  // namespace runhv::oci
