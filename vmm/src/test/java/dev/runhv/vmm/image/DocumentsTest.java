package dev.runhv.vmm.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class DocumentsTest {
    private int reads;

    @Test
    void whatWasReadIsNotReadAgainAsLongAsThereIsRoom() throws IOException {
        Documents documents = new Documents(100);
        read(documents, "a", 40);
        read(documents, "b", 40);
        read(documents, "a", 40);
        assertThat(reads).isEqualTo(2);

        read(documents, "c", 40); // in place of b, which was not used for longest
        read(documents, "a", 40);
        assertThat(reads).isEqualTo(3);
        read(documents, "b", 40);
        assertThat(reads).isEqualTo(4);
    }

    @Test
    void whatIsLargerThanAllTheRoomIsReadEachTime() throws IOException {
        Documents documents = new Documents(100);
        read(documents, "large", 101);
        read(documents, "large", 101);
        assertThat(reads).isEqualTo(2);
        assertThat(documents.find(String.class, descriptor("large", 101))).isEmpty();
    }

    @Test
    void aDigestWithAnotherSizeOrOfAnotherKindIsAnotherDocument() throws IOException {
        Documents documents = new Documents(100);
        read(documents, "a", 10);
        assertThat(documents.find(String.class, descriptor("a", 10))).contains("a");
        assertThat(documents.find(String.class, descriptor("a", 11))).isEmpty();
        assertThat(documents.find(Integer.class, descriptor("a", 10))).isEmpty();
    }

    @Test
    void whatCannotBeReadIsNotKept() {
        Documents documents = new Documents(100);
        for (int i = 0; i < 2; i++) {
            assertThatExceptionOfType(CorruptInputException.class)
                    .isThrownBy(() -> documents.get(String.class, descriptor("a", 10), () -> {
                        reads++;
                        throw new CorruptInputException("not its digest");
                    }));
        }
        assertThat(reads).isEqualTo(2);
    }

    private void read(Documents documents, String text, long size) throws IOException {
        assertThat(documents.get(String.class, descriptor(text, size), () -> {
                    reads++;
                    return text;
                }))
                .isEqualTo(text);
    }

    private static Descriptor descriptor(String text, long size) {
        return Descriptor.of("", Digest.sha256(text.getBytes(StandardCharsets.UTF_8)), size);
    }
}
