/* The first process of a guest of Firecracker's: its first act is a byte on the serial port, which
 * is Firecracker's stdout. */
#include <sys/syscall.h>

enum { kSerialPort = 0x3f8 };

static long call(long number, long first, long second, long third) {
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(first), "S"(second), "d"(third)
                   : "rcx", "r11", "memory");
  return result;
}

void _start(void) {
  call(SYS_ioperm, kSerialPort, 1, 1);
  __asm__ volatile("outb %0, %1" : : "a"((unsigned char)'.'), "Nd"((unsigned short)kSerialPort));
  for (;;) call(SYS_pause, 0, 0, 0);
}
