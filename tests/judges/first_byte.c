/* first_byte kill|wait PROGRAM ARGUMENT...: prints the microseconds from the spawn of the program
 * to the first byte of its stdout; then the program is killed, or its end waited for. One that
 * says nothing is a failure. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void run(int output, char** argv) {
  /* Who kills us for being late means it too. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(output, STDOUT_FILENO);
  execv(argv[0], argv);
  fprintf(stderr, "first_byte: %s: %s\n", argv[0], strerror(errno));
  _exit(127);
}

int main(int argc, char** argv) {
  if (argc < 3 || (strcmp(argv[1], "kill") != 0 && strcmp(argv[1], "wait") != 0)) {
    fputs("usage: first_byte kill|wait PROGRAM ARGUMENT...\n", stderr);
    return 2;
  }
  int ends[2];
  if (pipe(ends) != 0) return 2;
  const uint64_t spawned = now_us();
  const pid_t child = fork();
  if (child < 0) return 2;
  if (child == 0) {
    close(ends[0]);
    run(ends[1], argv + 2);
  }
  close(ends[1]);
  char some[4096];
  const ssize_t first = read(ends[0], some, sizeof some);
  const uint64_t took = now_us() - spawned;
  if (strcmp(argv[1], "kill") == 0) kill(child, SIGKILL);
  while (read(ends[0], some, sizeof some) > 0) {
  }
  waitpid(child, NULL, 0);
  if (first <= 0) {
    fputs("first_byte: the program says nothing\n", stderr);
    return 1;
  }
  printf("%llu us\n", (unsigned long long)took);
  return 0;
}
