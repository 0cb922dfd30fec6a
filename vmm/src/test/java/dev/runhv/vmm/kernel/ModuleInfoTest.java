package dev.runhv.vmm.kernel;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.vmm.content.CorruptInputException;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class ModuleInfoTest {
    @Test
    void dependenciesAreSpelledAsTheKernelDoes() throws CorruptInputException {
        byte[] module = Modules.module("license=GPL", "depends=virtio-ring,virtio", "name=virtio_mmio");

        assertThat(ModuleInfo.dependencies("virtio_mmio", module)).containsExactly("virtio_ring", "virtio");
    }

    @Test
    void aModuleMayDependOnNothing() throws CorruptInputException {
        assertThat(ModuleInfo.dependencies("x", Modules.module("depends="))).isEmpty();
        assertThat(ModuleInfo.dependencies("x", Modules.module("license=GPL"))).isEmpty();
    }

    @Test
    void whatIsNoModuleIsNamed() {
        for (byte[] file : new byte[][] {{}, new byte[100], "#!/bin/sh".getBytes(UTF_8)}) {
            assertThatThrownBy(() -> ModuleInfo.dependencies("bad", file))
                    .isInstanceOf(CorruptInputException.class)
                    .hasMessage("the module bad is no ELF file");
        }
    }

    @Test
    void numbersThatLeadOutOfTheFileAreRefusedOrHarmless() {
        byte[] good = Modules.module("depends=a,b");
        long[] numbers = {0, 1, 0x7fff, 0xffff, Integer.MAX_VALUE, 0xffffffffL, Long.MAX_VALUE, Long.MIN_VALUE, -1};
        Random random = new Random(7);
        for (int offset = 7; offset + 8 <= 256; offset++) {
            for (long number : numbers) {
                byte[] module = good.clone();
                for (int i = 0; i < 8; i++) {
                    module[offset + i] = (byte) (number >> 8 * i);
                }
                module[40 + random.nextInt(216)] ^= (byte) random.nextInt(256);
                try {
                    ModuleInfo.dependencies("bad", module);
                } catch (CorruptInputException e) {
                    assertThat(e).hasMessageStartingWith("the module bad ");
                }
            }
        }
        for (int length = 0; length < good.length; length++) {
            byte[] cut = Arrays.copyOf(good, length);
            assertThatThrownBy(() -> ModuleInfo.dependencies("bad", cut)).isInstanceOf(CorruptInputException.class);
        }
    }
}
