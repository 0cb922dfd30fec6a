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
    # What describes a page of memory is as that of the page before, but for a list head: 64 at once are copied: 0.6 M.
    ("mm/mm_init.c", "void __meminit memmap_init_range(unsigned long size,",
     "static unsigned long __meminit copy_struct_pages(struct page *page, unsigned long pfn,\n"
     "\t\t\tunsigned long start_pfn, unsigned long end_pfn)\n{\n"
     "\tconst unsigned long count = PAGE_SIZE / sizeof(*page);\n\tunsigned long i;\n\n"
     "\tBUILD_BUG_ON(SECTIONS_WIDTH || pageblock_nr_pages % count);\n"
     "\tif (!IS_ALIGNED(pfn, count) || pfn - start_pfn < count || end_pfn - pfn < count)\n\t\treturn 0;\n"
     "\tmemcpy(page, page - count, count * sizeof(*page));\n"
     "\tfor (i = 0; i < count; i++)\n\t\tINIT_LIST_HEAD(&page[i].lru);\n"
     "\treturn count;\n}\n\n"
     "void __meminit memmap_init_range(unsigned long size,", 1),
    ("mm/mm_init.c", "\tunsigned long pfn, end_pfn = start_pfn + size;\n\tstruct page *page;\n",
     "\tunsigned long pfn, end_pfn = start_pfn + size, copied = 0;\n\tstruct page *page;\n", 1),
    ("mm/mm_init.c", "\t\t\tif (overlap_memmap_init(zone, &pfn))\n\t\t\t\tcontinue;\n",
     "\t\t\tif (overlap_memmap_init(zone, &pfn)) {\n\t\t\t\tstart_pfn = pfn;\n\t\t\t\tcontinue;\n\t\t\t}\n", 1),
    ("mm/mm_init.c", "\t\tpage = pfn_to_page(pfn);\n\t\t__init_single_page(page, pfn, zone, nid);\n",
     "\t\tpage = pfn_to_page(pfn);\n\t\tif (context == MEMINIT_EARLY)\n"
     "\t\t\tcopied = copy_struct_pages(page, pfn, start_pfn, end_pfn);\n"
     "\t\tif (!copied)\n\t\t\t__init_single_page(page, pfn, zone, nid);\n", 1),
    ("mm/mm_init.c", "\t\t\tcond_resched();\n\t\t}\n\t\tpfn++;\n", "\t\t\tcond_resched();\n\t\t}\n\t\tpfn += copied ?: 1;\n", 1),
    # The same for the window of virtio-fs, whose pages are alike in all of it: 0.8 M of 32 MiB.
    ("mm/mm_init.c", "\t\tstruct page *page = pfn_to_page(pfn);\n\n"
     "\t\t__init_zone_device_page(page, pfn, zone_idx, nid, pgmap);\n\n\t\tif (IS_ALIGNED(pfn, PAGES_PER_SECTION))\n",
     "\t\tstruct page *page = pfn_to_page(pfn);\n"
     "\t\tconst unsigned long count = PAGE_SIZE / sizeof(*page);\n\n"
     "\t\tif (pfns_per_compound == 1 && IS_ALIGNED(pfn, count) &&\n"
     "\t\t    pfn - start_pfn >= count && end_pfn - pfn >= count) {\n"
     "\t\t\tmemcpy(page, page - count, count * sizeof(*page));\n"
     "\t\t\tpfn += count - 1;\n\t\t\tcontinue;\n\t\t}\n"
     "\t\t__init_zone_device_page(page, pfn, zone_idx, nid, pgmap);\n\n\t\tif (IS_ALIGNED(pfn, PAGES_PER_SECTION))\n", 1),
    # What write(2) writes goes to the host as a request, though the file is mapped: the host then sets its time, and says where
    # there is no room.
    ("fs/fuse/dax.c", "static bool file_extending_write(", "static bool __maybe_unused file_extending_write(", 1),
    ("fs/fuse/dax.c", "\tif (file_extending_write(iocb, from))\n\t\tret = fuse_dax_direct_write(iocb, from);\n"
     "\telse\n\t\tret = dax_iomap_rw(iocb, from, &fuse_iomap_ops);\n",
     "\tret = fuse_dax_direct_write(iocb, from);\n", 1),
    # A hypervisor answers at 0x40000000 or 0x40000100 (a second personality): 512 CPUID less.
    ("arch/x86/include/asm/cpuid.h", "function < 0x40010000; function += 0x100",
     "function < 0x40000200; function += 0x100", 1),
    # Under a Hyper-V signature there is no CMOS to ask for the time: the agent sets the clock.
    ("arch/x86/kernel/cpu/mshyperv.c", "\tno_timer_check = 1;\n",
     "\tno_timer_check = 1;\n#endif\n#if !IS_ENABLED(CONFIG_HYPERV)\n"
     "\tx86_platform.get_wallclock = get_rtc_noop;\n"
     "\tx86_platform.set_wallclock = set_rtc_noop;\n", 1),
    # presort.py has sorted the table of jump labels: 1.3 M instructions.
    ("kernel/jump_label.c", "static void jump_label_update(struct static_key *key);\n",
     "static bool __init jump_label_sorted(struct jump_entry *start, struct jump_entry *stop)\n{\n"
     "\tfor (; start + 1 < stop; start++) {\n"
     "\t\tif (jump_label_cmp(start, start + 1) > 0)\n\t\t\treturn false;\n"
     "\t}\n\treturn true;\n}\n\n"
     "static void jump_label_update(struct static_key *key);\n", 1),
    ("kernel/jump_label.c", "\tjump_label_lock();\n\tjump_label_sort_entries(iter_start, iter_stop);\n",
     "\tjump_label_lock();\n\tif (!jump_label_sorted(iter_start, iter_stop))\n"
     "\t\tjump_label_sort_entries(iter_start, iter_stop);\n", 1),
    # And that of static calls: 0.14 M.
    ("kernel/static_call_inline.c", "\tsort(start, stop - start, sizeof(struct static_call_site),\n",
     "\tstruct static_call_site *site = start;\n\n"
     "\twhile (site + 1 < stop && static_call_site_cmp(site, site + 1) <= 0)\n\t\tsite++;\n"
     "\tif (site + 1 >= stop)\n\t\treturn;\n"
     "\tsort(start, stop - start, sizeof(struct static_call_site),\n", 1),
    # docker's values, which a bundle of another kernel sets (BundleWriter): 0.06 M to set at each start.
    ("net/ipv4/af_inet.c", "\tnet->ipv4.sysctl_ip_prot_sock = PROT_SOCK;\n",
     "\tnet->ipv4.sysctl_ip_prot_sock = 0;\n", 1),
    ("net/ipv4/af_inet.c",
     "\tnet->ipv4.ping_group_range.range[0] = make_kgid(&init_user_ns, 1);\n"
     "\tnet->ipv4.ping_group_range.range[1] = make_kgid(&init_user_ns, 0);\n",
     "\tnet->ipv4.ping_group_range.range[0] = make_kgid(&init_user_ns, 0);\n"
     "\tnet->ipv4.ping_group_range.range[1] = make_kgid(&init_user_ns, 2147483647);\n", 1),
    # Names of sysctls end with a NUL: the first difference decides, no length is needed: 0.5 M.
    ("fs/proc/proc_sysctl.c", "\t\tcmp = namecmp(name, namelen, parent_name, strlen(parent_name));\n\t\tif (cmp < 0)\n\t\t\tp = ",
     "\t\tcmp = strcmp(name, parent_name);\n\t\tif (cmp < 0)\n\t\t\tp = ", 1),
    ("fs/proc/proc_sysctl.c", "\tint namelen = strlen(name);\n\n\twhile (*p) {", "\n\twhile (*p) {", 1),
    # Until alternatives are patched, clear and copy by string instructions: 0.5 M.
    *[(f"arch/x86/lib/{name}_64.S", f'ALTERNATIVE "jmp {name}_orig", "", X86_FEATURE_{feature}',
       f'ALTERNATIVE "", "jmp {name}_orig", ALT_NOT(X86_FEATURE_{feature})', 1)
      for name, feature in (("memset", "FSRS"), ("memcpy", "FSRM"))],
    # Where an instruction begins, 0x90 is a NOP: it need not be decoded to say so: 0.7 M.
    ("arch/x86/kernel/alternative.c", "\tfor (; offset < len; offset += insn.length) {\n",
     "\tfor (; offset < len; offset += insn.length) {\n"
     "\t\tif (buf[offset] == 0x90) {\n\t\t\tinsn.length = 1;\n\t\t\tcontinue;\n\t\t}\n", 1),
    ("arch/x86/kernel/alternative.c",
     "\t\tstruct insn insn;\n\n\t\tif (insn_decode_kernel(&insn, &buf[i]))\n\t\t\treturn;\n\n"
     "\t\tnext = i + insn.length;\n\n\t\tif (insn_is_nop(&insn)) {\n\t\t\tint nop = i;\n\n"
     "\t\t\t/* Has the NOP already been optimized? */\n\t\t\tif (i + insn.length == len)\n",
     "\t\tstruct insn insn;\n\t\tbool plain = buf[i] == 0x90;\n\n"
     "\t\tif (plain)\n\t\t\tinsn.length = 1;\n"
     "\t\telse if (insn_decode_kernel(&insn, &buf[i]))\n\t\t\treturn;\n\n"
     "\t\tnext = i + insn.length;\n\n\t\tif (plain || insn_is_nop(&insn)) {\n\t\t\tint nop = i;\n\n"
     "\t\t\t/* Has the NOP already been optimized? */\n\t\t\tif (i + insn.length == len)\n", 1),
    ("arch/x86/kernel/alternative.c",
     "\t\tstruct insn insn;\n\n\t\tif (WARN_ON_ONCE(insn_decode_kernel(&insn, &buf[i])))\n\t\t\treturn;\n\n",
     "\t\tstruct insn insn;\n\n\t\tif (buf[i] == 0x90) {\n\t\t\tnext = i + 1;\n\t\t\tcontinue;\n\t\t}\n"
     "\t\tif (WARN_ON_ONCE(insn_decode_kernel(&insn, &buf[i])))\n\t\t\treturn;\n\n", 1),
    # Where no byte is 0x90 there is no NOP to improve, and nothing to decode: 0.4 M.
    ("arch/x86/kernel/alternative.c",
     "static void noinline optimize_nops(const u8 * const instr, u8 *buf, size_t len)\n{\n",
     "static void noinline optimize_nops(const u8 * const instr, u8 *buf, size_t len)\n{\n"
     "\tif (!memchr(buf, 0x90, len))\n\t\treturn;\n\n", 1),
    # An event of a device that nobody listens to is counted, but not written: 0.26 M. Those of network devices
    # go to a namespace's own socket.
    ("lib/kobject_uevent.c", "static int kobject_uevent_net_broadcast(struct kobject *kobj,\n",
     "static bool uevent_has_listeners(struct kobject *kobj)\n{\n"
     "\tstruct uevent_sock *ue_sk;\n\tbool found = false;\n\n"
     "\tif (kobj->ktype->namespace && kobj->ktype->namespace(kobj))\n\t\treturn true;\n"
     "\tmutex_lock(&uevent_sock_mutex);\n"
     "\tlist_for_each_entry(ue_sk, &uevent_sock_list, list) {\n"
     "\t\tfound = netlink_has_listeners(ue_sk->sk, 1);\n"
     "\t\tif (found)\n\t\t\tbreak;\n\t}\n"
     "\tmutex_unlock(&uevent_sock_mutex);\n\treturn found;\n}\n\n"
     "static int kobject_uevent_net_broadcast(struct kobject *kobj,\n", 1),
    ("lib/kobject_uevent.c", "\t/* environment buffer */\n",
     "\tif (!uevent_has_listeners(kobj)) {\n"
     "\t\tif (action == KOBJ_ADD)\n\t\t\tkobj->state_add_uevent_sent = 1;\n"
     "\t\tatomic64_inc(&uevent_seqnum);\n\t\treturn 0;\n\t}\n\n"
     "\t/* environment buffer */\n", 1),

    # ---- Register accesses: each is an exit.
    # The index register of the IOAPIC keeps what was written to it: all of its users come here.
    ("arch/x86/kernel/apic/io_apic.c", "unsigned int native_io_apic_read(unsigned int apic, unsigned int reg)\n{",
     "static unsigned int io_apic_index[MAX_IO_APICS] = { [0 ... MAX_IO_APICS - 1] = ~0u };\n\n"
     "static void io_apic_select(unsigned int apic, unsigned int reg)\n{\n"
     "\tif (io_apic_index[apic] == reg)\n\t\treturn;\n"
     "\tio_apic_index[apic] = reg;\n"
     "\twritel(reg, &io_apic_base(apic)->index);\n}\n\n"
     "unsigned int native_io_apic_read(unsigned int apic, unsigned int reg)\n{", 1),
    ("arch/x86/kernel/apic/io_apic.c", "\twritel(reg, &io_apic->index);\n", "\tio_apic_select(apic, reg);\n", 2),
    # A redirection entry is written again as it is when its interrupt starts.
    ("arch/x86/kernel/apic/io_apic.c", "\t\t\t  unsigned int value)\n{\n",
     "\t\t\t  unsigned int value)\n{\n"
     "\tstatic struct { unsigned int apic, reg, value; } last[2] = { { ~0u }, { ~0u } };\n"
     "\ttypeof(&last[0]) known = &last[reg & 1];\n\n"
     "\tif (known->apic == apic && known->reg == reg && known->value == value)\n\t\treturn;\n"
     "\t*known = (typeof(*known)){ apic, reg, value };\n\n", 1),
    # All three registers read as ones where there is no IOAPIC: one that does not will do.
    ("arch/x86/kernel/apic/io_apic.c",
     "\treg_00.raw = io_apic_read(idx, 0);\n\treg_01.raw = io_apic_read(idx, 1);\n",
     "\treg_01.raw = io_apic_read(idx, 1);\n\tif (reg_01.raw != -1)\n\t\treturn 0;\n"
     "\treg_00.raw = io_apic_read(idx, 0);\n", 1),
    # Entries are saved, masked and restored for the sake of interrupt remapping only.
    ("arch/x86/kernel/apic/apic.c", "\tint ret, ir_stat;\n\n\tif (ioapic_is_disabled) {\n",
     "\tint ret, ir_stat;\n\tbool saved;\n\n\tif (ioapic_is_disabled) {\n", 1),
    ("arch/x86/kernel/apic/apic.c", "\tret = save_ioapic_entries();\n\tif (ret) {\n\t\tpr_info(\"Saving IO",
     "\tsaved = ir_stat >= 0;\n\tret = saved ? save_ioapic_entries() : 0;\n\tif (ret) {\n\t\tpr_info(\"Saving IO", 1),
    ("arch/x86/kernel/apic/apic.c", "\tmask_ioapic_entries();\n\n\t/* If irq_remapping_prepare()",
     "\tif (saved)\n\t\tmask_ioapic_entries();\n\n\t/* If irq_remapping_prepare()", 1),
    ("arch/x86/kernel/apic/apic.c", "\tif (ir_stat < 0)\n\t\trestore_ioapic_entries();\n",
     "\tif (saved && ir_stat < 0)\n\t\trestore_ioapic_entries();\n", 1),
    # Without a PIC there is no PIT that would have to be stopped.
    ("arch/x86/kernel/i8253.c", "\t\tscoped_guard(irq)\n\t\t\tclockevent_i8253_disable();\n",
     "\t\tif (has_legacy_pic()) {\n\t\t\tscoped_guard(irq)\n\t\t\t\tclockevent_i8253_disable();\n\t\t}\n", 1),
    ("arch/x86/kernel/i8253.c", "#include <linux/i8253.h>\n",
     "#include <linux/i8253.h>\n\n#include <asm/i8259.h>\n", 1),
    # A virtio device changes its status by itself in two cases only: it refuses FEATURES_OK, and it
    # sets NEEDS_RESET, which it announces as a configuration change (virtio 1.2 2.1.2, 3.1.1).
    ("drivers/virtio/virtio_mmio.c", "\tunsigned long version;\n",
     "\tunsigned long version;\n\n\tu8 status;\n\tbool status_known;\n", 1),
    ("drivers/virtio/virtio_mmio.c",
     "\treturn readl(vm_dev->base + VIRTIO_MMIO_STATUS) & 0xff;\n",
     "\tif (!vm_dev->status_known) {\n"
     "\t\tvm_dev->status = readl(vm_dev->base + VIRTIO_MMIO_STATUS) & 0xff;\n"
     "\t\tvm_dev->status_known = true;\n\t}\n\treturn vm_dev->status;\n", 1),
    ("drivers/virtio/virtio_mmio.c", "\tBUG_ON(status == 0);\n",
     "\tBUG_ON(status == 0);\n"
     "\tif (status & ~vm_dev->status & VIRTIO_CONFIG_S_FEATURES_OK)\n"
     "\t\tvm_dev->status_known = false;\n"
     "\tvm_dev->status = status;\n", 1),
    ("drivers/virtio/virtio_mmio.c",
     "\t/* 0 status means a reset. */\n\twritel(0, vm_dev->base + VIRTIO_MMIO_STATUS);\n",
     "\t/* 0 status means a reset. */\n\twritel(0, vm_dev->base + VIRTIO_MMIO_STATUS);\n"
     "\tvm_dev->status = 0;\n\tvm_dev->status_known = true;\n", 1),
    ("drivers/virtio/virtio_mmio.c",
     "\tif (unlikely(status & VIRTIO_MMIO_INT_CONFIG)) {\n",
     "\tif (unlikely(status & VIRTIO_MMIO_INT_CONFIG)) {\n\t\tvm_dev->status_known = false;\n", 1),
    # A reset leaves no queue ready (virtio 1.2 4.2.2.1).
    ("drivers/virtio/virtio_mmio.c",
     "\tif (readl(vm_dev->base + (vm_dev->version == 1 ?\n"
     "\t\t\tVIRTIO_MMIO_QUEUE_PFN : VIRTIO_MMIO_QUEUE_READY))) {",
     "\tif (vm_dev->version == 1 && readl(vm_dev->base + VIRTIO_MMIO_QUEUE_PFN)) {", 1),
    # ---- Interrupts: a device that serves a request where it is notified of it has done so when the
    # notification is over. Looking then takes the place of an interrupt: two register accesses.
    # The event of a queue that wants no interrupt lies as far ahead as it can, not at 0.
    ("drivers/virtio/virtio_ring.c",
     "\t\t\t/* TODO: this is a hack. Figure out a cleaner value to write. */\n"
     "\t\t\tvring_used_event(&vq->split.vring) = 0x0;\n\t\telse\n\t\t\tvq->split.vring.avail->flags =",
     "\t\t\tvring_used_event(&vq->split.vring) =\n"
     "\t\t\t\tcpu_to_virtio16(_vq->vdev, vq->last_used_idx - 1);\n"
     "\t\telse\n\t\t\tvq->split.vring.avail->flags =", 1),
    ("drivers/block/virtio_blk.c", "static void virtio_commit_rqs(struct blk_mq_hw_ctx *hctx)\n{",
     "static bool virtblk_kick_prepare(struct virtqueue *vq)\n{\n"
     "\tif (!virtqueue_kick_prepare(vq))\n\t\treturn false;\n"
     "\tvirtqueue_disable_cb(vq);\n\treturn true;\n}\n\n"
     "static void virtblk_notify(struct virtqueue *vq)\n{\n"
     "\tvirtqueue_notify(vq);\n"
     "\tlocal_bh_disable();\n\tvirtblk_done(vq);\n\tlocal_bh_enable();\n}\n\n"
     "static void virtio_commit_rqs(struct blk_mq_hw_ctx *hctx)\n{", 1),
    ("drivers/block/virtio_blk.c", "\tkick = virtqueue_kick_prepare(vq->vq);\n",
     "\tkick = virtblk_kick_prepare(vq->vq);\n", 2),
    ("drivers/block/virtio_blk.c", "\tif (kick)\n\t\tvirtqueue_notify(vq->vq);\n",
     "\tif (kick)\n\t\tvirtblk_notify(vq->vq);\n", 2),
    ("drivers/block/virtio_blk.c", "\tif (bd->last && virtqueue_kick_prepare(vblk->vqs[qid].vq))\n",
     "\tif (bd->last && virtblk_kick_prepare(vblk->vqs[qid].vq))\n", 1),
    ("drivers/block/virtio_blk.c", "\tif (notify)\n\t\tvirtqueue_notify(vblk->vqs[qid].vq);\n",
     "\tif (notify)\n\t\tvirtblk_notify(vblk->vqs[qid].vq);\n", 1),
    # Who waits for the answer of a file system takes it, where it is there when the notification returns: no interrupt,
    # no worker, no sleep. The end of a request in the background is for a worker: its sender may hold locks.
    ("fs/fuse/virtio_fs.c",
     "static void virtio_fs_requests_done_work(struct work_struct *work)\n{\n"
     "\tstruct virtio_fs_vq *fsvq = container_of(work, struct virtio_fs_vq,\n\t\t\t\t\t\t done_work);\n",
     "static void virtio_fs_requests_done(struct virtio_fs_vq *fsvq, bool sender)\n{\n", 1),
    ("fs/fuse/virtio_fs.c", "\t\tif (req->args->may_block) {\n",
     "\t\tif (req->args->may_block || (sender && test_bit(FR_BACKGROUND, &req->flags))) {\n", 1),
    ("fs/fuse/virtio_fs.c", "static void virtio_fs_map_queues(",
     "static void virtio_fs_requests_done_work(struct work_struct *work)\n{\n"
     "\tvirtio_fs_requests_done(container_of(work, struct virtio_fs_vq, done_work), false);\n}\n\n"
     "static void virtio_fs_map_queues(", 1),
    ("fs/fuse/virtio_fs.c", "\tbool notify;\n\tstruct fuse_pqueue *fpq;\n",
     "\tbool notify;\n\tbool waits = !test_bit(FR_BACKGROUND, &req->flags);\n\tstruct fuse_pqueue *fpq;\n", 1),
    ("fs/fuse/virtio_fs.c",
     "\tnotify = virtqueue_kick_prepare(vq);\n\n\tspin_unlock(&fsvq->lock);\n\n"
     "\tif (notify)\n\t\tvirtqueue_notify(vq);\n\nout:\n",
     "\tnotify = virtqueue_kick_prepare(vq);\n\tif (waits)\n\t\tvirtqueue_disable_cb(vq);\n\n"
     "\tspin_unlock(&fsvq->lock);\n\n"
     "\tif (notify)\n\t\tvirtqueue_notify(vq);\n\tif (waits)\n\t\tvirtio_fs_requests_done(fsvq, true);\n\nout:\n", 1),
    # A frame that was sent when its notification is over is freed there.
    ("drivers/net/virtio_net.c",
     "\tif (kick) {\n"
     "\t\tif (virtqueue_kick_prepare(sq->vq) && virtqueue_notify(sq->vq)) {\n"
     "\t\t\tu64_stats_update_begin(&sq->stats.syncp);\n"
     "\t\t\tu64_stats_inc(&sq->stats.kicks);\n"
     "\t\t\tu64_stats_update_end(&sq->stats.syncp);\n"
     "\t\t}\n\t}\n\n\treturn NETDEV_TX_OK;\n",
     "\tif (kick && virtqueue_kick_prepare(sq->vq)) {\n"
     "\t\tif (use_napi)\n\t\t\tvirtqueue_disable_cb(sq->vq);\n"
     "\t\tif (virtqueue_notify(sq->vq)) {\n"
     "\t\t\tu64_stats_update_begin(&sq->stats.syncp);\n"
     "\t\t\tu64_stats_inc(&sq->stats.kicks);\n"
     "\t\t\tu64_stats_update_end(&sq->stats.syncp);\n"
     "\t\t}\n"
     "\t\tif (use_napi)\n\t\t\tvirtnet_reap_sent(sq, txq);\n"
     "\t}\n\n\treturn NETDEV_TX_OK;\n", 1),
    ("drivers/net/virtio_net.c", "static netdev_tx_t start_xmit(struct sk_buff *skb, struct net_device *dev)\n{",
     "/* Caller holds the lock of txq. */\n"
     "static void virtnet_reap_sent(struct send_queue *sq, struct netdev_queue *txq)\n{\n"
     "\tdo {\n"
     "\t\tvirtqueue_disable_cb(sq->vq);\n"
     "\t\tfree_old_xmit(sq, txq, false);\n"
     "\t} while (unlikely(!virtqueue_enable_cb_delayed(sq->vq)));\n\n"
     "\tif (sq->vq->num_free >= MAX_SKB_FRAGS + 2)\n"
     "\t\tnetif_tx_wake_queue(txq);\n}\n\n"
     "static netdev_tx_t start_xmit(struct sk_buff *skb, struct net_device *dev)\n{", 1),
    # No transport here moves a guest from host to host, which is all that the event queue tells.
    ("net/vmw_vsock/virtio_transport.c", "\t\t{ \"event\", virtio_vsock_event_done },\n",
     "\t\t{ NULL, virtio_vsock_event_done },\n", 1),
    ("net/vmw_vsock/virtio_transport.c", "\tvirtio_vsock_event_fill(vsock);\n\tvsock->event_run = true;\n",
     "\tif (vsock->vqs[VSOCK_VQ_EVENT]) {\n\t\tvirtio_vsock_event_fill(vsock);\n"
     "\t\tvsock->event_run = true;\n\t}\n", 1),
    # What is done when the notification is over is taken back in place: no work is queued for it.
    ("net/vmw_vsock/virtio_transport.c",
     "static void\nvirtio_transport_send_pkt_work(struct work_struct *work)\n{",
     "/* Caller need to hold vsock->tx_lock */\n"
     "static bool virtio_vsock_reap_tx(struct virtqueue *vq)\n{\n"
     "\tstruct sk_buff *skb;\n\tunsigned int len;\n\tbool any = false;\n\n"
     "\tdo {\n"
     "\t\tvirtqueue_disable_cb(vq);\n"
     "\t\twhile ((skb = virtqueue_get_buf(vq, &len)) != NULL) {\n"
     "\t\t\tvirtio_transport_consume_skb_sent(skb, true);\n"
     "\t\t\tany = true;\n\t\t}\n"
     "\t} while (!virtqueue_enable_cb(vq));\n\n\treturn any;\n}\n\n"
     "/* Caller need to hold vsock->tx_lock */\n"
     "static void virtio_vsock_kick_tx(struct virtio_vsock *vsock)\n{\n"
     "\tstruct virtqueue *tx = vsock->vqs[VSOCK_VQ_TX], *rx = vsock->vqs[VSOCK_VQ_RX];\n"
     "\tbool rx_locked = mutex_trylock(&vsock->rx_lock), rx_idle = false;\n\n"
     "\tif (vsock->tx_run)\n\t\tvirtqueue_disable_cb(tx);\n"
     "\tif (rx_locked && vsock->rx_run)\n\t\tvirtqueue_disable_cb(rx);\n"
     "\tvirtqueue_kick(tx);\n"
     "\tif (vsock->tx_run && virtio_vsock_reap_tx(tx) &&\n\t    !skb_queue_empty_lockless(&vsock->send_pkt_queue))\n"
     "\t\tqueue_work(virtio_vsock_workqueue, &vsock->send_pkt_work);\n"
     "\tif (rx_locked) {\n"
     "\t\trx_idle = vsock->rx_run && virtqueue_enable_cb(rx);\n"
     "\t\tmutex_unlock(&vsock->rx_lock);\n\t}\n"
     "\tif (!rx_idle)\n\t\tqueue_work(virtio_vsock_workqueue, &vsock->rx_work);\n}\n\n"
     "static void\nvirtio_transport_send_pkt_work(struct work_struct *work)\n{", 1),
    ("net/vmw_vsock/virtio_transport.c",
     "\tdo {\n\t\tstruct sk_buff *skb;\n\t\tunsigned int len;\n\n"
     "\t\tvirtqueue_disable_cb(vq);\n"
     "\t\twhile ((skb = virtqueue_get_buf(vq, &len)) != NULL) {\n"
     "\t\t\tvirtio_transport_consume_skb_sent(skb, true);\n"
     "\t\t\tadded = true;\n\t\t}\n\t} while (!virtqueue_enable_cb(vq));\n\n"
     "out:\n",
     "\tadded = virtio_vsock_reap_tx(vq);\n\nout:\n", 1),
    ("net/vmw_vsock/virtio_transport.c", "\tif (added)\n\t\tvirtqueue_kick(vq);\n",
     "\tif (added)\n\t\tvirtio_vsock_kick_tx(vsock);\n", 1),
    ("net/vmw_vsock/virtio_transport.c", "\tif (ret == 0)\n\t\tvirtqueue_kick(vq);\n",
     "\tif (ret == 0)\n\t\tvirtio_vsock_kick_tx(vsock);\n", 1),
    # ---- A pipe keeps the pages that it was full with, instead of one: half of what bulk output costs.
    ("include/linux/pipe_fs_i.h", "\tstruct page *tmp_page;\n",
     "\tstruct page *tmp_page;\t/* the next one is its private */\n\tunsigned int tmp_pages;\n", 1),
    ("fs/pipe.c", "static void anon_pipe_buf_release(",
     "static void pipe_keep_page(struct pipe_inode_info *pipe, struct page *page)\n{\n"
     "\tset_page_private(page, (unsigned long)pipe->tmp_page);\n"
     "\tpipe->tmp_page = page;\n\tpipe->tmp_pages++;\n}\n\n"
     "static struct page *pipe_kept_page(struct pipe_inode_info *pipe)\n{\n"
     "\tstruct page *page = pipe->tmp_page;\n\n"
     "\tif (page) {\n\t\tpipe->tmp_page = (struct page *)page_private(page);\n"
     "\t\tset_page_private(page, 0);\n\t\tpipe->tmp_pages--;\n\t}\n\treturn page;\n}\n\n"
     "static void anon_pipe_buf_release(", 1),
    ("fs/pipe.c", "\tif (page_count(page) == 1 && !pipe->tmp_page)\n\t\tpipe->tmp_page = page;\n",
     "\tif (page_count(page) == 1 && pipe->tmp_pages < min_t(unsigned int, PIPE_DEF_BUFFERS, pipe->max_usage))\n\t\tpipe_keep_page(pipe, page);\n", 1),
    ("fs/pipe.c", "\t\t\tstruct page *page = pipe->tmp_page;\n",
     "\t\t\tstruct page *page = pipe_kept_page(pipe);\n", 1),
    ("fs/pipe.c", "\t\t\t\t\tbreak;\n\t\t\t\t}\n\t\t\t\tpipe->tmp_page = page;\n\t\t\t}\n",
     "\t\t\t\t\tbreak;\n\t\t\t\t}\n\t\t\t}\n", 1),
    ("fs/pipe.c", "\t\t\tpipe->tmp_page = NULL;\n\n", "\n", 1),
    ("fs/pipe.c", "\t/* This might have made more room for writers */\n",
     "\twhile (pipe->tmp_pages > nr_slots)\n\t\t__free_page(pipe_kept_page(pipe));\n\n"
     "\t/* This might have made more room for writers */\n", 1),
    ("fs/pipe.c", "\tif (pipe->tmp_page)\n\t\t__free_page(pipe->tmp_page);\n",
     "\twhile (pipe->tmp_page)\n\t\t__free_page(pipe_kept_page(pipe));\n", 1),
    # ---- Out of memory with nobody left to kill is a panic, but file systems in memory of what was killed are
    # given back after its processes: half a second for them.
    ("mm/oom_kill.c", "\tselect_bad_process(oc);\n\t/* Found nothing?!?! */\n",
     "\tselect_bad_process(oc);\n"
     "\tif (oc->chosen) {\n\t\twaited = 0;\n"
     "\t} else if (!is_sysrq_oom(oc) && !is_memcg_oom(oc) && waited < 50) {\n"
     "\t\twaited++;\n\t\tschedule_timeout_uninterruptible(1);\n\t\treturn true;\n\t}\n"
     "\t/* Found nothing?!?! */\n", 1),
    ("mm/oom_kill.c", "bool out_of_memory(struct oom_control *oc)\n{\n",
     "bool out_of_memory(struct oom_control *oc)\n{\n\tstatic unsigned int waited; /* under oom_lock */\n", 1),
    # ---- An overlay asks the lower file system for what it will do to the copy above: EROFS is read-only, and
    # has no way to set an ACL nor inode flags. Its files can have the first, and have none of the second.
    ("fs/overlayfs/inode.c", "\tstruct inode *realinode = ovl_inode_real(inode);\n\n"
     "\tif (!IS_POSIXACL(d_inode(workdir)))\n\t\treturn -EOPNOTSUPP;\n\tif (!realinode->i_op->set_acl)\n",
     "\n\tif (!IS_POSIXACL(d_inode(workdir)))\n"
     "\t\treturn -EOPNOTSUPP;\n\tif (!d_inode(workdir)->i_op->set_acl)\n", 1),
    ("fs/overlayfs/inode.c", "\terr = ovl_real_fileattr_get(&realpath, fa);\n",
     "\terr = ovl_real_fileattr_get(&realpath, fa);\n"
     "\tif (err == -ENOTTY && !ovl_inode_upper(inode))\n\t\terr = 0;\n", 1),
    # ---- /proc/modules of a kernel that has none: empty, as lsmod and others read it.
    ("fs/proc/cmdline.c", "static int __init proc_cmdline_init(void)\n{\n",
     "#ifndef CONFIG_MODULES\nstatic int no_modules_show(struct seq_file *m, void *v)\n{\n\treturn 0;\n}\n#endif\n\n"
     "static int __init proc_cmdline_init(void)\n{\n", 1),
    ("fs/proc/cmdline.c", "\tpde->size = saved_command_line_len + 1;\n",
     "\tpde->size = saved_command_line_len + 1;\n"
     "#ifndef CONFIG_MODULES\n\tproc_create_single(\"modules\", 0, NULL, no_modules_show);\n#endif\n", 1),
    # ---- Limits: the guest has one tenant, whom its memory limits. docs/limits.md has the table.
    # Threads: their stacks may take all of the memory, not an eighth. No limit for each user.
    ("kernel/fork.c", "(u64) THREAD_SIZE * 8UL);", "(u64) THREAD_SIZE);", 1),
    ("kernel/fork.c",
     "\tinit_task.signal->rlim[RLIMIT_NPROC].rlim_cur = max_threads/2;\n"
     "\tinit_task.signal->rlim[RLIMIT_NPROC].rlim_max = max_threads/2;\n"
     "\tinit_task.signal->rlim[RLIMIT_SIGPENDING] =\n\t\tinit_task.signal->rlim[RLIMIT_NPROC];\n\n", "", 1),
    ("include/asm-generic/resource.h", "[RLIMIT_NPROC]\t\t= {              0,              0 },",
     "[RLIMIT_NPROC]\t\t= {  RLIM_INFINITY,  RLIM_INFINITY },", 1),
    ("include/asm-generic/resource.h", "[RLIMIT_SIGPENDING]\t= { \t\t0,\t       0 },",
     "[RLIMIT_SIGPENDING]\t= {          65536,          65536 },", 1),
    ("include/asm-generic/resource.h", "[RLIMIT_MSGQUEUE]\t= {   MQ_BYTES_MAX,   MQ_BYTES_MAX },",
     "[RLIMIT_MSGQUEUE]\t= {  RLIM_INFINITY,  RLIM_INFINITY },", 1),
    ("include/linux/threads.h", "IS_ENABLED(CONFIG_BASE_SMALL) ? 0x1000 : 0x8000", "0x400000", 1),
    # Files and what watches them.
    ("fs/file_table.c", "max_t(unsigned long, n, NR_FILE)", "max_t(unsigned long, n, LONG_MAX)", 1),
    ("fs/notify/inotify/inotify_user.c", "clamp(watches_max, 8192UL, 1048576UL)", "max(watches_max, 1048576UL)", 1),
    ("fs/notify/inotify/inotify_user.c", "ucount_max[UCOUNT_INOTIFY_INSTANCES] = 128;",
     "ucount_max[UCOUNT_INOTIFY_INSTANCES] = 8192;", 1),
    ("fs/notify/fanotify/fanotify_user.c",
     "clamp(max_marks, FANOTIFY_OLD_DEFAULT_MAX_MARKS,\n\t\t\t\t     FANOTIFY_DEFAULT_MAX_USER_MARKS)",
     "max(max_marks, FANOTIFY_DEFAULT_MAX_USER_MARKS)", 1),
    ("fs/eventpoll.c", "(((si.totalram - si.totalhigh) / 25) << PAGE_SHIFT)",
     "((si.totalram - si.totalhigh) << PAGE_SHIFT)", 1),
    ("fs/aio.c", "static unsigned long aio_max_nr = 0x10000;", "static unsigned long aio_max_nr = 0x100000;", 1),
    ("fs/pipe.c", "pipe_user_pages_soft = PIPE_DEF_BUFFERS * INR_OPEN_CUR;", "pipe_user_pages_soft;", 1),
    # Names in a tmpfs without content cost a kilobyte each.
    ("mm/shmem.c", "min3(nr_pages - totalhigh_pages(), nr_pages / 2,\n\t\t\tULONG_MAX / BOGO_INODE_SIZE)",
     "min(nr_pages * 2, ULONG_MAX / BOGO_INODE_SIZE)", 1),
    # Memory: what distributions set.
    ("include/linux/mm.h", "#define DEFAULT_MAX_MAP_COUNT\t(USHRT_MAX - MAPCOUNT_ELF_CORE_MARGIN)",
     "#define DEFAULT_MAX_MAP_COUNT\t1048576", 1),
    # Keys: root's quota for everybody.
    ("security/keys/key.c", "unsigned int key_quota_maxkeys = 200;", "unsigned int key_quota_maxkeys = 1000000;", 1),
    ("security/keys/key.c", "unsigned int key_quota_maxbytes = 20000;",
     "unsigned int key_quota_maxbytes = 25000000;", 1),
    # Messages. How deep a queue is that says nothing stays as it was.
    ("include/linux/ipc_namespace.h", "#define DFLT_QUEUESMAX\t\t      256",
     "#define DFLT_QUEUESMAX\t\t     1024", 1),
    ("include/linux/ipc_namespace.h", "#define DFLT_MSGMAX\t\t       10\n", "#define DFLT_MSGMAX\t\t     1024\n", 1),
    ("include/linux/ipc_namespace.h", "#define DFLT_MSGSIZEMAX\t\t     8192\n",
     "#define DFLT_MSGSIZEMAX\t\t  1048576\n", 1),
    ("include/uapi/linux/msg.h", "#define MSGMAX  8192 ", "#define MSGMAX 65536 ", 1),
    ("include/uapi/linux/msg.h", "#define MSGMNB 16384 ", "#define MSGMNB 65536 ", 1),
    # Sockets: buffers that a program may ask for, and connections that are closing.
    ("net/core/sock.c", "__u32 sysctl_wmem_max __read_mostly = SK_WMEM_MAX;",
     "__u32 sysctl_wmem_max __read_mostly = 8 << 20;", 1),
    ("net/core/sock.c", "__u32 sysctl_rmem_max __read_mostly = SK_RMEM_MAX;",
     "__u32 sysctl_rmem_max __read_mostly = 8 << 20;", 1),
    ("net/ipv4/tcp.c", "\tsysctl_tcp_max_orphans = cnt / 2;\n",
     "\tsysctl_tcp_max_orphans = max(65536, cnt / 2);\n", 1),
    ("net/ipv4/tcp_ipv4.c", "sysctl_max_tw_buckets = ehash_entries / 2;",
     "sysctl_max_tw_buckets = max(65536U, ehash_entries / 2);", 1),
    ("net/ipv4/tcp_ipv4.c", "max(128U, ehash_entries / 128)", "max(4096U, ehash_entries / 128)", 1),
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
