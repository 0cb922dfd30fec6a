// A conformance case: what it asks, how sure we are of the answer, and who says so. The checks read
// as GoogleTest's do; none of it is needed here, so that the program runs on a bare Windows.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace runhv::conformance {

enum class Mark {
  kDocumented,  // Microsoft's documentation or headers
  kReported,    // somebody saw it on real Windows, or a shipping client depends on it
  kBelieved     // nobody says; our choice
};

struct Case {
  std::string_view group;
  std::string_view name;
  Mark mark;
  std::string_view source;  // who says so, in words
  void (*body)();
};

// All cases, in the order of the program's files.
const std::vector<Case>& cases();

// What the checks of the case that runs now have found. Threads: any.
void fail(const char* file, int line, const std::string& what);
void skip(std::string why);
bool has_failed();

struct Outcome {
  std::vector<std::string> failures;
  std::string skipped;  // why; empty: it was not
};
// Runs a case on this thread. One at a time.
Outcome run_case(const Case& one);

class Registration {
 public:
  explicit Registration(const Case& one);
};

}  // namespace runhv::conformance

// CASE(Group, Name, kMark, "source") { … }
#define CASE(group, name, mark, source)                                             \
  static void group##_##name();                                                     \
  static const ::runhv::conformance::Registration registration_of_##group##_##name( \
      {#group, #name, ::runhv::conformance::Mark::mark, source, &group##_##name});  \
  static void group##_##name()

// Ends the case, which then counts neither as passed nor as failed.
#define SKIP_CASE(why) return ::runhv::conformance::skip(why)
