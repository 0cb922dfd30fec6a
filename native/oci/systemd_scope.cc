#include "oci/systemd_scope.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <system_error>

#include "container/cgroup_settings.h"
#include "oci/cgroups.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/library.h"
#include "platform/os_error.h"
#include "platform/process.h"

namespace runhv::oci {
namespace {

constexpr char kService[] = "org.freedesktop.systemd1";
constexpr char kPath[] = "/org/freedesktop/systemd1";
constexpr char kManager[] = "org.freedesktop.systemd1.Manager";
constexpr char kScope[] = "org.freedesktop.systemd1.Scope";
constexpr char kNoSuchUnit[] = "org.freedesktop.systemd1.NoSuchUnit";
// Where the manager itself listens, for root.
constexpr char kPrivate[] = "unix:path=/run/systemd/private";
constexpr std::uint64_t kAnswerNs = 30'000'000'000;
constexpr std::uint64_t kNone = UINT64_MAX;          // "infinity"
constexpr std::uint64_t kQuotaStepUs = 10'000;       // what systemd rounds a quota up to
constexpr std::uint64_t kDefaultPeriodUs = 100'000;  // the kernel's
constexpr unsigned kMaxListed = 8192;                // processors of a Linux

// sd-bus(3): what is used of libsystemd.so.0, which is there where systemd is. Opened when it is
// needed, since what it needs itself would be a third of the time that a verb takes.
struct Bus;
struct Message;
struct Slot;
struct BusError {
  const char* name;
  const char* message;
  int need_free;
};
using OnSignal = int (*)(Message*, void*, BusError*);

struct Functions {
  int (*open_system)(Bus**);
  int (*open_user)(Bus**);
  int (*make)(Bus**);
  int (*set_address)(Bus*, const char*);
  int (*start)(Bus*);
  Bus* (*close)(Bus*);
  int (*match_signal)(Bus*, Slot**, const char*, const char*, const char*, const char*, OnSignal,
                      void*);
  int (*get_property_string)(Bus*, const char*, const char*, const char*, const char*, BusError*,
                             char**);
  int (*new_method_call)(Bus*, Message**, const char*, const char*, const char*, const char*);
  int (*append)(Message*, const char*, ...);
  int (*append_array)(Message*, char, const void*, std::size_t);
  int (*open_container)(Message*, char, const char*);
  int (*close_container)(Message*);
  int (*call)(Bus*, Message*, std::uint64_t, BusError*, Message**);
  int (*read)(Message*, const char*, ...);
  Message* (*unref)(Message*);
  int (*process)(Bus*, Message**);
  int (*wait)(Bus*, std::uint64_t);
  void (*free_error)(BusError*);
};

template <class Function>
bool find(const platform::Library& library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(library.find(name));
  return function != nullptr;
}

bool find_all(const platform::Library& library, Functions& all) {
  return find(library, "sd_bus_open_system", all.open_system) &&
         find(library, "sd_bus_open_user", all.open_user) &&
         find(library, "sd_bus_new", all.make) &&
         find(library, "sd_bus_set_address", all.set_address) &&
         find(library, "sd_bus_start", all.start) &&
         find(library, "sd_bus_flush_close_unref", all.close) &&
         find(library, "sd_bus_match_signal", all.match_signal) &&
         find(library, "sd_bus_get_property_string", all.get_property_string) &&
         find(library, "sd_bus_message_new_method_call", all.new_method_call) &&
         find(library, "sd_bus_message_append", all.append) &&
         find(library, "sd_bus_message_append_array", all.append_array) &&
         find(library, "sd_bus_message_open_container", all.open_container) &&
         find(library, "sd_bus_message_close_container", all.close_container) &&
         find(library, "sd_bus_call", all.call) && find(library, "sd_bus_message_read", all.read) &&
         find(library, "sd_bus_message_unref", all.unref) &&
         find(library, "sd_bus_process", all.process) && find(library, "sd_bus_wait", all.wait) &&
         find(library, "sd_bus_error_free", all.free_error);
}

// "a-b.slice" is in "a.slice" (systemd.slice(5)).
Result<std::string> slice_path(const std::string& slice) {
  constexpr std::string_view kEnd = ".slice";
  const auto wrong = [&] {
    return Fail{Error{Code::kInvalidArgument, "find the cgroups",
                      "invalid slice name: " + slice + "; expected one such as system.slice"}};
  };
  if (slice == "-.slice") return std::string();
  if (!slice.ends_with(kEnd) || slice.size() == kEnd.size() ||
      slice.find('/') != std::string::npos) {
    return wrong();
  }
  const std::string name = slice.substr(0, slice.size() - kEnd.size());
  std::string path;
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t dash = std::min(name.find('-', at), name.size());
    if (dash == at) return wrong();
    path += "/" + name.substr(0, dash) + std::string(kEnd);
    at = dash + 1;
  }
  return path;
}

struct Job {
  std::string path;
  std::string result;  // empty: it goes on
  const Functions* call = nullptr;
};

int on_job_removed(Message* message, void* user, BusError*) {
  Job& job = *static_cast<Job*>(user);
  std::uint32_t number = 0;
  const char* path = nullptr;
  const char* unit = nullptr;
  const char* result = nullptr;
  if (job.call->read(message, "uoss", &number, &path, &unit, &result) >= 0 && job.path == path) {
    job.result = result;
  }
  return 0;
}

}  // namespace

bool systemd_runs() { return platform::file_exists("/run/systemd/system"); }

Result<Scope> parse_scope(const std::string& cgroups_path, const std::string& id, bool is_root) {
  const std::string fallback = is_root ? "system.slice" : "user.slice";
  if (cgroups_path.empty()) return Scope{"runhv-" + id + ".scope", fallback};
  const std::size_t first = cgroups_path.find(':');
  const std::size_t second = first == std::string::npos ? first : cgroups_path.find(':', first + 1);
  if (second == std::string::npos || cgroups_path.find(':', second + 1) != std::string::npos) {
    // In runc's words.
    return Fail{Error{Code::kInvalidArgument, "create",
                      "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd "
                      "cgroups, got \"" +
                          cgroups_path + "\" instead"}};
  }
  std::string slice = cgroups_path.substr(0, first);
  const std::string prefix = cgroups_path.substr(first + 1, second - first - 1);
  const std::string name = cgroups_path.substr(second + 1);
  if (name.empty() || name.ends_with(".slice") || (prefix + name).find('/') != std::string::npos) {
    return Fail{Error{Code::kInvalidArgument, "create",
                      "the cgroupsPath \"" + cgroups_path +
                          "\" names no scope of systemd: expected slice:prefix:name"}};
  }
  if (slice.empty()) slice = fallback;
  return Scope{(prefix.empty() ? name : prefix + "-" + name) + ".scope", slice};
}

Result<std::string> scope_path(const Scope& scope) {
  RUNHV_TRY_ASSIGN(const std::string slice, slice_path(scope.slice));
  return slice + "/" + scope.unit;
}

std::vector<std::uint8_t> bits_of_list(const std::string& list) {
  std::vector<std::uint8_t> bits;
  const char* at = list.data();
  const char* const end = at + list.size();
  while (at != end) {
    unsigned first = 0;
    auto read = std::from_chars(at, end, first);
    if (read.ec != std::errc()) return {};
    unsigned last = first;
    if (read.ptr != end && *read.ptr == '-') read = std::from_chars(read.ptr + 1, end, last);
    if (read.ec != std::errc() || last < first || last >= kMaxListed) return {};
    if (read.ptr != end && (*read.ptr != ',' || read.ptr + 1 == end)) return {};
    if (bits.size() <= last / 8) bits.resize(last / 8 + 1);
    for (unsigned each = first; each <= last; ++each) {
      bits[each / 8] = static_cast<std::uint8_t>(bits[each / 8] | 1u << each % 8);
    }
    at = read.ptr == end ? end : read.ptr + 1;
  }
  return bits;
}

class Systemd::Impl {
 public:
  Impl(platform::Library library, const Functions& functions)
      : library_(std::move(library)), call_(functions) {}
  ~Impl() {
    if (bus_ != nullptr) call_.close(bus_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<void> open() {
    int result = 0;
    if (platform::current_user_id() != 0) {
      result = call_.open_user(&bus_);
    } else {
      result = call_.open_system(&bus_);
      // As runc and systemctl do it, where no daemon of D-Bus runs.
      if (result < 0) result = open_private();
    }
    if (result < 0) return fail(result, "connect to systemd");
    job_.call = &call_;
    result = call_.match_signal(bus_, nullptr, kService, kPath, kManager, "JobRemoved",
                                on_job_removed, &job_);
    return result < 0 ? fail(result, "wait for jobs of systemd") : Result<void>();
  }

  Result<std::string> cgroup() {
    RUNHV_TRY_ASSIGN(std::string found, cgroup_of(kPath, kManager, "ask systemd for its cgroup"));
    if (found == "/") found.clear();
    return found;
  }

  Result<std::string> cgroup(const std::string& unit) {
    const std::string operation = "ask systemd for the cgroup of " + unit;
    RUNHV_TRY(begin("GetUnit", operation));
    append("s", unit.c_str());
    RUNHV_TRY_ASSIGN(const Answer answer, ask(operation, kNoSuchUnit));
    if (answer.message == nullptr) return std::string();
    const char* read = nullptr;
    const int result = call_.read(answer.message, "o", &read);
    const std::string path = result < 0 ? "" : read;
    call_.unref(answer.message);
    if (result < 0) return fail(result, operation);
    return cgroup_of(path.c_str(), kScope, operation);
  }

  Result<void> start(const Scope& scope, std::uint64_t pid, const Resources& resources,
                     std::uint64_t guest_memory_bytes) {
    const std::string operation = "start " + scope.unit + " of systemd";
    RUNHV_TRY(begin("StartTransientUnit", operation));
    append("ss", scope.unit.c_str(), "fail");
    open_container('a', "(sv)");
    append("(sv)", "Description", "s", "container of runhv");
    append("(sv)", "Slice", "s", scope.slice.c_str());
    append("(sv)", "PIDs", "au", 1, static_cast<std::uint32_t>(pid));
    append("(sv)", "Delegate", "b", 1);
    append("(sv)", "DefaultDependencies", "b", 0);
    // Its name is free once it has stopped, however that was.
    append("(sv)", "CollectMode", "s", "inactive-or-failed");
    for (const char* each :
         {"MemoryAccounting", "CPUAccounting", "IOAccounting", "TasksAccounting"}) {
      append("(sv)", each, "b", 1);
    }
    append_limits(resources, guest_memory_bytes);
    close_container();
    append("a(sa(sv))", 0);
    return run_job(operation, nullptr);
  }

  Result<void> change(const std::string& unit, const Resources& resources,
                      std::uint64_t guest_memory_bytes) {
    const std::string operation = "change " + unit + " of systemd";
    RUNHV_TRY(begin("SetUnitProperties", operation));
    append("sb", unit.c_str(), 1);
    open_container('a', "(sv)");
    append_limits(resources, guest_memory_bytes);
    close_container();
    RUNHV_TRY_ASSIGN(const Answer answer, ask(operation, nullptr));
    if (answer.message != nullptr) call_.unref(answer.message);
    return {};
  }

  Result<void> stop(const std::string& unit) {
    const std::string operation = "stop " + unit + " of systemd";
    RUNHV_TRY(begin("StopUnit", operation));
    append("ss", unit.c_str(), "replace");
    return run_job(operation, kNoSuchUnit);
  }

 private:
  Result<std::string> cgroup_of(const char* object, const char* interface,
                                const std::string& operation) {
    char* path = nullptr;
    BusError error{};
    const int result =
        call_.get_property_string(bus_, kService, object, interface, "ControlGroup", &error, &path);
    if (result < 0) return fail(result, operation, error);
    std::string found(path);
    std::free(path);
    return found;
  }

  // Null where the error was one that is none.
  struct Answer {
    Message* message;
  };

  int open_private() {
    int result = call_.make(&bus_);
    if (result >= 0) result = call_.set_address(bus_, kPrivate);
    if (result >= 0) result = call_.start(bus_);
    return result;
  }

  static Fail<Error> fail(int result, const std::string& operation) {
    return Fail{platform::os_error(operation, -result)};
  }
  Fail<Error> fail(int result, const std::string& operation, BusError& error) {
    Error said = platform::os_error(operation, -result);
    if (error.message != nullptr) said.detail = error.message;
    call_.free_error(&error);
    return Fail{std::move(said)};
  }

  Result<void> begin(const char* method, const std::string& operation) {
    failed_ = call_.new_method_call(bus_, &message_, kService, kPath, kManager, method);
    return failed_ < 0 ? fail(failed_, operation) : Result<void>();
  }
  template <class... Values>
  void append(const char* types, Values... values) {
    if (failed_ >= 0) failed_ = call_.append(message_, types, values...);
  }
  void open_container(char type, const char* contents) {
    if (failed_ >= 0) failed_ = call_.open_container(message_, type, contents);
  }
  void close_container() {
    if (failed_ >= 0) failed_ = call_.close_container(message_);
  }
  void append_bits(const char* name, const std::string& list) {
    const std::vector<std::uint8_t> bits = bits_of_list(list);
    if (bits.empty()) return;  // the kernel says what is wrong with it
    open_container('r', "sv");
    append("s", name);
    open_container('v', "ay");
    if (failed_ >= 0) failed_ = call_.append_array(message_, 'y', bits.data(), bits.size());
    close_container();
    close_container();
  }

  // systemd would take back what it has not been told.
  void append_limits(const Resources& resources, std::uint64_t guest_memory_bytes) {
    if (const auto limit = resources.memory_limit_bytes; limit && *limit != 0) {
      append("(sv)", "MemoryMax", "t", *limit < 0 ? kNone : guest_memory_bytes + kVmmOverheadBytes);
    }
    if (const auto shares = resources.cpu_shares; shares && *shares != 0) {
      append("(sv)", "CPUWeight", "t", container::cpu_weight(*shares));
    }
    std::uint64_t period = resources.cpu_period_us.value_or(0);
    if (period != 0) append("(sv)", "CPUQuotaPeriodUSec", "t", period);
    if (period == 0) period = kDefaultPeriodUs;
    if (const auto quota = resources.cpu_quota_us; quota && *quota != 0) {
      // More than a year a second is no limit.
      const auto wanted = static_cast<std::uint64_t>(*quota);
      std::uint64_t each_second = kNone;
      if (*quota > 0 && wanted < kNone / 1'000'000) {
        each_second = wanted * 1'000'000 / period;
        each_second = (each_second + kQuotaStepUs - 1) / kQuotaStepUs * kQuotaStepUs;
      }
      append("(sv)", "CPUQuotaPerSecUSec", "t", each_second);
    }
    append_bits("AllowedCPUs", resources.cpus);
    append_bits("AllowedMemoryNodes", resources.memory_nodes);
  }

  Result<Answer> ask(const std::string& operation, const char* no_error) {
    Message* const message = std::exchange(message_, nullptr);
    Message* answer = nullptr;
    BusError error{};
    if (failed_ >= 0) failed_ = call_.call(bus_, message, kAnswerNs / 1000, &error, &answer);
    call_.unref(message);
    if (failed_ >= 0) return Answer{answer};
    if (no_error != nullptr && error.name != nullptr && error.name == std::string_view(no_error)) {
      call_.free_error(&error);
      return Answer{nullptr};
    }
    return fail(failed_, operation, error);
  }

  // `no_error`: the name of the error that says that there is nothing to do.
  Result<void> run_job(const std::string& operation, const char* no_error) {
    RUNHV_TRY_ASSIGN(const Answer answer, ask(operation, no_error));
    if (answer.message == nullptr) return {};
    const char* path = nullptr;
    int result = call_.read(answer.message, "o", &path);
    job_.path = result < 0 ? "" : path;
    job_.result.clear();
    call_.unref(answer.message);
    const std::uint64_t deadline = platform::monotonic_ns() + kAnswerNs;
    while (result >= 0 && job_.result.empty()) {
      result = call_.process(bus_, nullptr);
      if (result != 0) continue;
      const std::uint64_t now = platform::monotonic_ns();
      if (now >= deadline) {
        return Fail{Error{Code::kTimedOut, operation, "its job has not ended within 30 s"}};
      }
      result = call_.wait(bus_, (deadline - now) / 1000 + 1);
    }
    if (result < 0) return fail(result, operation);
    if (job_.result == "done") return {};
    return Fail{Error{Code::kHostFailed, operation, "its job ended as " + job_.result}};
  }

  platform::Library library_;
  Functions call_;
  Bus* bus_ = nullptr;
  Message* message_ = nullptr;
  int failed_ = 0;  // of the message that is written
  Job job_;
};

Systemd::Systemd(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Systemd::Systemd(Systemd&&) noexcept = default;
Systemd& Systemd::operator=(Systemd&&) noexcept = default;
Systemd::~Systemd() = default;

Result<Systemd> Systemd::connect() {
  RUNHV_TRY_ASSIGN(auto library, platform::Library::open("libsystemd.so.0"));
  Functions functions{};
  if (!find_all(library, functions)) {
    return Fail{Error{Code::kUnsupported, "connect to systemd",
                      "its library libsystemd.so.0 has not all that runhv calls"}};
  }
  auto impl = std::make_unique<Impl>(std::move(library), functions);
  RUNHV_TRY(impl->open());
  return Systemd(std::move(impl));
}

Result<std::string> Systemd::cgroup() { return impl_->cgroup(); }

Result<std::string> Systemd::cgroup(const std::string& unit) { return impl_->cgroup(unit); }

Result<void> Systemd::start(const Scope& scope, std::uint64_t pid, const Resources& resources,
                            std::uint64_t guest_memory_bytes) {
  return impl_->start(scope, pid, resources, guest_memory_bytes);
}

Result<void> Systemd::change(const std::string& unit, const Resources& resources,
                             std::uint64_t guest_memory_bytes) {
  return impl_->change(unit, resources, guest_memory_bytes);
}

Result<void> Systemd::stop(const std::string& unit) { return impl_->stop(unit); }

}  // namespace runhv::oci
