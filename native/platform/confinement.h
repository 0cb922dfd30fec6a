// What a process gives up before it runs what may be hostile (docs/security-model.md): system calls
// that it does not need, capabilities, and files that it has not been given.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace runhv::platform {

// A file, or a folder with all that is below it.
struct KeptPath {
  enum class Access {
    kFolderNames,  // folders are made, renamed and removed there; nothing is read
    kRead,
    kReadWrite
  };
  std::string path;
  Access access;
};

// What the process still has to do.
struct Duties {
  enum class Shares { kNone, kReadOnly, kWritable };
  // Files of the host that a guest is given, in the name of the guest's users.
  Shares shares = Shares::kNone;
  // Makes taps, and looks after the interfaces of a network namespace.
  bool keeps_network = false;
  // The same, in a namespace that is not the process's own.
  bool enters_network = false;
  // What is neither open by then nor named here cannot be opened. nullopt: files that nobody knows
  // yet will be.
  std::optional<std::vector<KeptPath>> files;
};

class Confinement {
 public:
  // Changes nothing yet. Errors: a path of `duties` that cannot be opened.
  static Result<Confinement> prepare(const Duties& duties);
  Confinement(Confinement&&) noexcept;
  Confinement& operator=(Confinement&&) noexcept;
  ~Confinement();

  // For good: all threads but the process's first, and those that they begin later. After an error
  // some may be confined. REQUIRES: called on a thread that is not the first, while no other one
  // begins threads.
  Result<void> confine_other_threads() const;
  // The thread that calls. Async-signal-safe; 0, or the errno of what was refused.
  int confine_this_thread() const;

  // What this host lacks of it, for people; empty: nothing.
  const std::string& missing() const;

 private:
  struct Parts;
  explicit Confinement(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// What this host has of it and what it lacks, for people; empty: nothing.
struct ConfinementSupport {
  std::string has;
  std::string lacks;
};
ConfinementSupport confinement_support();

// Sanitizers need what a confined process has not.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kIsInstrumented = true;
#else
inline constexpr bool kIsInstrumented = false;
#endif

}  // namespace runhv::platform
