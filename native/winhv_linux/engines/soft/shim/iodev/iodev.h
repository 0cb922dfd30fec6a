// SPDX-License-Identifier: LGPL-2.0-or-later
// Stands in for Bochs's devices: all of them are the caller's.
#ifndef IODEV_H
#define IODEV_H

#include "gui/siminterface.h"
#include "memory/memory-bochs.h"
#include "param_names.h"
#include "pc_system.h"

#define bx_devices (bx_machine->bulk_io)
#undef BX_INP
#undef BX_OUTP
#define BX_INP(addr, len) (bx_machine->io_exit((Bit16u)(addr), (len), false), 0)
#define BX_OUTP(addr, val, len) ((void)(val), bx_machine->io_exit((Bit16u)(addr), (len), true))
#define DEV_pic_iac() bx_machine->acknowledge_external()
#define DEV_pic_raise_irq(n)
#define DEV_pic_lower_irq(n)
#define DEV_dma_raise_hlda()
#define DEV_ioapic_receive_eoi(v) bx_machine->note_eoi(v)
#define DEV_cmos_get_reg(x) 0

#endif
