/* Prints the frequency of the time stamp counter in kHz: QEMU without a hypervisor does not tell
 * its guest, which would calibrate for 100 ms. */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <x86intrin.h>

struct moment {
  uint64_t ns;
  uint64_t ticks;
};

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Both clocks at one moment: of many readings the one during which the least time passed, since any
 * other may have been interrupted between the two. */
static struct moment now(void) {
  struct moment best = {0, 0};
  uint64_t least = UINT64_MAX;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t before = __rdtsc();
    const uint64_t ns = now_ns();
    const uint64_t after = __rdtsc();
    if (after - before >= least) continue;
    least = after - before;
    best.ns = ns;
    best.ticks = before + least / 2;
  }
  return best;
}

int main(void) {
  const struct moment begin = now();
  while (now_ns() - begin.ns < 100000000u) {
  }
  const struct moment end = now();
  const uint64_t ticks = end.ticks - begin.ticks;
  printf("%llu\n", (unsigned long long)(ticks * 1000000u / (end.ns - begin.ns)));
  return 0;
}
