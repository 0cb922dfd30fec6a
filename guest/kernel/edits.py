#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Edits the unpacked sources of Linux 6.12: edits.py SOURCE_DIR

Each edit names a file, a text that occurs there exactly `count` times, and what replaces it. A text
that is not found, or found another number of times, is an error: a newer kernel needs a look, not
luck. What each edit is worth: README.md.
"""

import pathlib
import sys

EDITS = [
    # No /sys/kernel/slab: 3.5 M instructions. It comes back with SLUB_DEBUG.
    ("mm/slab.h", "defined(CONFIG_SYSFS) && !defined(CONFIG_SLUB_TINY)",
     "defined(CONFIG_SYSFS) && defined(CONFIG_SLUB_DEBUG)", 1),
    # No /sys/module/*/parameters for built-in code: 2.3 M instructions, quadratic.
    ("kernel/params.c", "static int __init param_sysfs_builtin_init(void)",
     "static int __init __maybe_unused param_sysfs_builtin_init(void)", 1),
    ("kernel/params.c", "late_initcall(param_sysfs_builtin_init);",
     "#ifdef CONFIG_MODULES\nlate_initcall(param_sysfs_builtin_init);\n#endif", 1),
    # The tail of a page table beyond the end of memory is empty already: 1.1 M instructions.
    *[("arch/x86/mm/init_64.c", f"{above}\n\t\tif (paddr >= paddr_end) {{\n\t\t\tif (!after_bootmem &&",
       f"{above}\n\t\tif (paddr >= paddr_end) {{\n\t\t\tif (!after_bootmem && !{level}_none(*{level}) &&", 1)
      for level, above in (("pte", "\t\tpaddr_next = (paddr & PAGE_MASK) + PAGE_SIZE;"),
                           ("pmd", "\t\tpaddr_next = (paddr & PMD_MASK) + PMD_SIZE;"),
                           ("pud", "\t\tpaddr_next = (paddr & PUD_MASK) + PUD_SIZE;\n"))],
    # A hypervisor answers at 0x40000000 or 0x40000100 (a second personality): 512 CPUID less.
    ("arch/x86/include/asm/cpuid.h", "function < 0x40010000; function += 0x100",
     "function < 0x40000200; function += 0x100", 1),
    # Under a Hyper-V signature there is no CMOS to ask for the time: the agent sets the clock.
    ("arch/x86/kernel/cpu/mshyperv.c", "\tno_timer_check = 1;\n",
     "\tno_timer_check = 1;\n#endif\n#if !IS_ENABLED(CONFIG_HYPERV)\n"
     "\tx86_platform.get_wallclock = get_rtc_noop;\n"
     "\tx86_platform.set_wallclock = set_rtc_noop;\n", 1),
]


def main() -> int:
    source = pathlib.Path(sys.argv[1])
    for name, old, new, count in EDITS:
        path = source / name
        text = path.read_text()
        found = text.count(old)
        if found != count:
            print(f"edits.py: {name}: expected {count} time(s), found {found}: {old!r}",
                  file=sys.stderr)
            return 1
        path.write_text(text.replace(old, new))
    return 0


if __name__ == "__main__":
    sys.exit(main())
