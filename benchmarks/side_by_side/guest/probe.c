/* The program that works inside the guests. What it does stands between two lines on stdout, so
 * that the host's clock measures it, and no clock of a guest.
 *
 *   probe io SEQUENTIAL_BYTES RANDOM_READS STREAM_BYTES
 *   probe files FOLDER BYTES RANDOM_READS
 *   probe touch          all memory that is free, then waits for a signal
 *   probe wait           waits for a signal
 *
 * Blocks are read from /dev/vda with O_DIRECT: every read is one request to the disk, and its
 * buffer one segment, as large folios of the page cache are. Files of FOLDER are read and written
 * as programs do it, without O_DIRECT. The guest has nothing of them in its memory before.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/fs.h>

enum {
  kSequentialBlock = 128 << 10, /* what Linux reads ahead */
  kRandomBlock = 4 << 10,
  kStreamBlock = 64 << 10,
  kFileBlock = 1 << 20,
  kHugePage = 2 << 20,
};

static char* buffer;

static void fail(const char* what) {
  fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void write_all(const char* data, size_t size) {
  while (size != 0) {
    const ssize_t written = write(1, data, size);
    if (written < 0) fail("write");
    data += written;
    size -= (size_t)written;
  }
}

static void say(const char* line) { write_all(line, strlen(line)); }

/* The container has no node of its root's disk. */
static int open_disk(void) {
  unsigned major_number;
  unsigned minor_number;
  FILE* const file = fopen("/sys/block/vda/dev", "r");
  if (file == NULL) fail("/sys/block/vda/dev");
  if (fscanf(file, "%u:%u", &major_number, &minor_number) != 2) fail("/sys/block/vda/dev");
  fclose(file);
  if (mknod("/dev/vda", S_IFBLK | 0600, makedev(major_number, minor_number)) != 0 &&
      errno != EEXIST) {
    fail("make /dev/vda");
  }
  const int disk = open("/dev/vda", O_RDONLY | O_DIRECT);
  if (disk < 0) fail("open /dev/vda");
  return disk;
}

/* xorshift64: the same places in every guest */
static const uint64_t kFirstRandom = 0x9e3779b97f4a7c15;
static uint64_t next_random(uint64_t state) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static void read_block(int disk, size_t size, uint64_t offset) {
  if (pread(disk, buffer, size, (off_t)offset) != (ssize_t)size) fail("read a block");
}

static void read_disk(uint64_t sequential_bytes, uint64_t random_reads) {
  const int disk = open_disk();
  uint64_t disk_bytes = 0;
  if (ioctl(disk, BLKGETSIZE64, &disk_bytes) != 0) fail("size of /dev/vda");

  uint64_t offset = 0;
  say("sequential begins\n");
  for (uint64_t left = sequential_bytes; left >= kSequentialBlock; left -= kSequentialBlock) {
    if (offset + kSequentialBlock > disk_bytes) offset = 0;
    read_block(disk, kSequentialBlock, offset);
    offset += kSequentialBlock;
  }
  say("sequential ends\n");

  uint64_t state = kFirstRandom;
  say("random begins\n");
  for (uint64_t i = 0; i < random_reads; ++i) {
    state = next_random(state);
    read_block(disk, kRandomBlock, state % (disk_bytes / kRandomBlock) * kRandomBlock);
  }
  say("random ends\n");
  close(disk);
}

static int open_in(const char* folder, const char* name, int flags) {
  char path[256];
  if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) exit(2);
  const int file = open(path, flags, 0644);
  if (file < 0) fail(path);
  return file;
}

/* FOLDER has the files `sequential` and `random`, of `bytes` each. */
static void use_files(const char* folder, uint64_t bytes, uint64_t random_reads) {
  int file = open_in(folder, "sequential", O_RDONLY);
  say("read begins\n");
  for (uint64_t left = bytes; left >= kFileBlock; left -= kFileBlock) {
    if (read(file, buffer, kFileBlock) != kFileBlock) fail("read");
  }
  say("read ends\n");
  close(file);

  file = open_in(folder, "written", O_WRONLY | O_CREAT | O_TRUNC);
  say("write begins\n");
  for (uint64_t left = bytes; left >= kFileBlock; left -= kFileBlock) {
    if (write(file, buffer, kFileBlock) != kFileBlock) fail("write");
  }
  say("write ends\n");
  close(file);

  file = open_in(folder, "random", O_RDONLY);
  if (posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM) != 0) fail("advise");
  uint64_t state = kFirstRandom;
  say("random begins\n");
  for (uint64_t i = 0; i < random_reads; ++i) {
    state = next_random(state);
    read_block(file, kRandomBlock, state % (bytes / kRandomBlock) * kRandomBlock);
  }
  say("random ends\n");
  close(file);
}

static void stream(uint64_t bytes) {
  memset(buffer, 'x', kStreamBlock);
  say("stream begins\n");
  for (; bytes >= kStreamBlock; bytes -= kStreamBlock) write_all(buffer, kStreamBlock);
  say("\nstream ends\n");
}

static void touch_memory(void) {
  struct sysinfo memory;
  if (sysinfo(&memory) != 0) fail("sysinfo");
  /* The rest is for page tables and for whoever lives here besides. */
  size_t size = (size_t)memory.freeram * memory.mem_unit;
  size = (size - size / 32 - (4u << 20)) & ~(size_t)(kHugePage - 1);
  char* const pages =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) fail("map memory");
  madvise(pages, size, MADV_HUGEPAGE);
  for (size_t at = 0; at < size; at += 4096) pages[at] = 1;
  printf("touched %zu\n", size);
  fflush(stdout);
}

int main(int count, char** words) {
  if (posix_memalign((void**)&buffer, kHugePage, kHugePage) != 0) fail("allocate");
  madvise(buffer, kHugePage, MADV_HUGEPAGE);
  const char* const verb = count > 1 ? words[1] : "";
  if (strcmp(verb, "io") == 0 && count == 5) {
    read_disk(strtoull(words[2], NULL, 10), strtoull(words[3], NULL, 10));
    stream(strtoull(words[4], NULL, 10));
    return 0;
  }
  if (strcmp(verb, "files") == 0 && count == 5) {
    use_files(words[2], strtoull(words[3], NULL, 10), strtoull(words[4], NULL, 10));
    return 0;
  }
  if (strcmp(verb, "touch") == 0) {
    touch_memory();
    pause();
  } else if (strcmp(verb, "wait") == 0) {
    say("waiting\n");
    pause();
  }
  fprintf(stderr, "probe: unknown arguments\n");
  return 2;
}
