#include "platform/linux/system_call_filter.h"

#include <cstddef>
#include <span>

#include <linux/audit.h>
#include <linux/seccomp.h>

#include "base/check.h"

namespace runhv::platform {
namespace {

constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;

constexpr sock_filter load(std::uint32_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset);
}
constexpr sock_filter answer(std::uint32_t action) { return BPF_STMT(BPF_RET | BPF_K, action); }
// Goes on with the next instruction where equal, else skips `others`.
constexpr sock_filter if_equal(std::uint32_t value, std::uint8_t others) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, others);
}
constexpr sock_filter number() { return load(offsetof(seccomp_data, nr)); }
constexpr sock_filter low_word(unsigned argument) {
  return load(static_cast<std::uint32_t>(offsetof(seccomp_data, args) + argument * sizeof(__u64)));
}

// From `first` up to the next span, calls are all allowed, or none is.
struct Span {
  std::uint32_t first;
  bool allowed;
};

std::vector<Span> spans_of(const std::set<std::uint32_t>& allowed) {
  std::vector<Span> spans;
  std::uint32_t next = 0;
  for (const std::uint32_t call : allowed) {
    if (call != next) spans.push_back({next, false});
    if (call != next || spans.empty()) spans.push_back({call, true});
    next = call + 1;
  }
  spans.push_back({next, false});
  return spans;
}

// A search by halves, to an answer or to the program's next part: Linux works the answer for each
// call out when it takes a filter, and a list would cost half a millisecond.
class Search {
 public:
  explicit Search(std::span<const Span> spans) {
    add(spans);
    for (const std::size_t each : misses_) {
      program_[each] =
          BPF_STMT(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(program_.size() - each - 1));
    }
  }
  const std::vector<sock_filter>& program() const { return program_; }

 private:
  void add(std::span<const Span> spans) {
    if (spans.size() == 1) {
      if (!spans.front().allowed) misses_.push_back(program_.size());
      return program_.push_back(answer(kAllow));
    }
    const std::size_t half = spans.size() / 2;
    const std::size_t here = program_.size();
    program_.push_back({});
    add(spans.first(half));
    const std::size_t skipped = program_.size() - here - 1;
    RUNHV_CHECK(skipped <= UINT8_MAX);
    program_[here] = BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, spans[half].first,
                              static_cast<std::uint8_t>(skipped), 0);
    add(spans.subspan(half));
  }

  std::vector<sock_filter> program_;
  std::vector<std::size_t> misses_;
};

}  // namespace

void SystemCallFilter::allow(std::initializer_list<long> calls) {
  for (const long call : calls) allowed_.insert(static_cast<std::uint32_t>(call));
}

void SystemCallFilter::allow_where(long call, unsigned argument,
                                   std::initializer_list<ArgumentTest> tests) {
  for (const ArgumentTest& test : tests) {
    add_rule({if_equal(static_cast<std::uint32_t>(call), 5), low_word(argument),
              BPF_STMT(BPF_ALU | BPF_AND | BPF_K, test.mask), if_equal(test.value, 1),
              answer(kAllow), number()});
  }
}

void SystemCallFilter::refuse(long call, int os_code) {
  add_rule({if_equal(static_cast<std::uint32_t>(call), 1),
            answer(SECCOMP_RET_ERRNO | (static_cast<std::uint32_t>(os_code) & SECCOMP_RET_DATA))});
}

void SystemCallFilter::kill_where(long call, unsigned argument, std::uint32_t value) {
  add_rule({if_equal(static_cast<std::uint32_t>(call), 4), low_word(argument), if_equal(value, 1),
            answer(SECCOMP_RET_KILL_PROCESS), number()});
}

// A call's number means another call on another architecture (x32 has a bit in the number, which no
// call that is named here has).
std::vector<sock_filter> SystemCallFilter::finish() const {
  std::vector<sock_filter> program{load(offsetof(seccomp_data, arch)),
                                   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
                                   answer(SECCOMP_RET_KILL_PROCESS), number()};
  const Search search(spans_of(allowed_));
  program.insert(program.end(), search.program().begin(), search.program().end());
  program.insert(program.end(), rules_.begin(), rules_.end());
  program.push_back(answer(SECCOMP_RET_TRAP));
  return program;
}

void SystemCallFilter::add_rule(std::initializer_list<sock_filter> instructions) {
  rules_.insert(rules_.end(), instructions);
}

}  // namespace runhv::platform
