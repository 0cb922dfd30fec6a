// What a C library would bring: the entry point and the memory functions that the compiler calls.
// Built with -fno-builtin, so that none of them becomes a call of itself.

#include <cstddef>

extern "C" {

// The kernel enters with the stack aligned to 16 and argc on it; a function expects it as after a
// call (System V ABI, AMD64 supplement, §3.4.1).
[[noreturn]] void agent_main();
asm(R"(
  .globl _start
_start:
  xor %ebp, %ebp
  call agent_main
)");

void* memcpy(void* to, const void* from, std::size_t size) {
  void* const result = to;
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
  return result;
}

void* memset(void* to, int value, std::size_t size) {
  void* const result = to;
  asm volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
  return result;
}

void* memmove(void* to, const void* from, std::size_t size) {
  auto* out = static_cast<unsigned char*>(to);
  const auto* in = static_cast<const unsigned char*>(from);
  if (out <= in || out >= in + size) return memcpy(to, from, size);
  while (size-- != 0) out[size] = in[size];
  return to;
}

int memcmp(const void* a, const void* b, std::size_t size) {
  const auto* x = static_cast<const unsigned char*>(a);
  const auto* y = static_cast<const unsigned char*>(b);
  for (std::size_t i = 0; i < size; ++i) {
    if (x[i] != y[i]) return x[i] - y[i];
  }
  return 0;
}

void* memchr(const void* in, int value, std::size_t size) {
  const auto* at = static_cast<const unsigned char*>(in);
  for (std::size_t i = 0; i < size; ++i) {
    if (at[i] == static_cast<unsigned char>(value)) return const_cast<unsigned char*>(at + i);
  }
  return nullptr;
}

std::size_t strlen(const char* text) {
  std::size_t size = 0;
  while (text[size] != '\0') ++size;
  return size;
}

char* strchr(const char* text, int value) {
  for (;; ++text) {
    if (*text == static_cast<char>(value)) return const_cast<char*>(text);
    if (*text == '\0') return nullptr;
  }
}

char* strrchr(const char* text, int value) {
  const char* last = nullptr;
  for (;; ++text) {
    if (*text == static_cast<char>(value)) last = text;
    if (*text == '\0') return const_cast<char*>(last);
  }
}

int strcmp(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) {
    ++a;
    ++b;
  }
  return static_cast<unsigned char>(*a) - static_cast<unsigned char>(*b);
}

int strncmp(const char* a, const char* b, std::size_t size) {
  for (; size != 0; --size, ++a, ++b) {
    if (*a != *b) return static_cast<unsigned char>(*a) - static_cast<unsigned char>(*b);
    if (*a == '\0') return 0;
  }
  return 0;
}

char* strstr(const char* text, const char* part) {
  const std::size_t size = strlen(part);
  for (; *text != '\0'; ++text) {
    if (strncmp(text, part, size) == 0) return const_cast<char*>(text);
  }
  return size == 0 ? const_cast<char*>(text) : nullptr;
}

}  // extern "C"

// libstdc++'s inline code names it; substr beyond the end is a defect of ours.
namespace std {
[[noreturn]] void __throw_out_of_range_fmt(const char*, ...) {
  for (;;) asm volatile("ud2");
}
}  // namespace std
