package dev.runhv.vmm.content;

import dev.runhv.api.OsError;
import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.charset.Charset;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.HashMap;
import java.util.Map;

/**
 * The number of the operating system behind an exception of the JDK. For some numbers the JDK has types; for the rest it
 * keeps only the system's words, in the language of the user: which number has these words, the system itself tells.
 */
final class SystemErrors {
    static final int EPERM = 1;
    static final int ENOENT = 2;
    static final int ENOMEM = 12;
    static final int EACCES = 13;
    static final int EEXIST = 17;
    static final int EFBIG = 27;
    static final int ENOSPC = 28;
    static final int EROFS = 30;
    static final int EDQUOT = 122;

    /** The largest number that Linux has is 133. */
    private static final int NUMBERS = 134;

    private static final boolean WINDOWS = System.getProperty("os.name").startsWith("Windows");

    private SystemErrors() {}

    /** @return {@code errno}, or what is the same on Windows; 0 where it is not known */
    static int number(IOException failure) {
        return switch (failure) {
            case NoSuchFileException e -> ENOENT;
            case AccessDeniedException e -> EACCES;
            case FileAlreadyExistsException e -> EEXIST;
            case FileSystemException e -> ofWords(e.getReason());
            case IOException e -> ofWords(e.getMessage());
        };
    }

    /** @return null on Windows, whose own number the JDK does not give */
    static OsError osError(int number) {
        return number == 0 || WINDOWS ? null : new OsError(OsError.Domain.ERRNO, number);
    }

    private static int ofWords(String words) {
        if (words == null) {
            return 0;
        }
        return WINDOWS ? ofWordsOfWindows(words) : Words.NUMBERS.getOrDefault(words, 0);
    }

    // Known in English alone: elsewhere it is a failure of the host like any other.
    private static int ofWordsOfWindows(String words) {
        return words.contains("not enough space on the disk") ? ENOSPC : words.contains("write protected") ? EROFS : 0;
    }

    /** Made when the first failure is to be told. */
    @SuppressWarnings("restricted") // the module is launched with --enable-native-access
    private static final class Words {
        static final Map<String, Integer> NUMBERS = read();

        private static Map<String, Integer> read() {
            Map<String, Integer> numbers = new HashMap<>();
            try {
                MethodHandle strerror = Linker.nativeLinker()
                        .downcallHandle(
                                Linker.nativeLinker().defaultLookup().findOrThrow("strerror"),
                                FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.JAVA_INT));
                Charset charset =
                        Charset.forName(System.getProperty("sun.jnu.encoding", System.getProperty("native.encoding")));
                for (int number = 1; number < SystemErrors.NUMBERS; number++) {
                    MemorySegment text = (MemorySegment) strerror.invokeExact(number);
                    numbers.putIfAbsent(text.reinterpret(Long.MAX_VALUE).getString(0, charset), number);
                }
            } catch (IllegalCallerException e) {
                // A program that embeds runhv without access to native code: failures keep their words.
                return Map.of();
            } catch (RuntimeException e) {
                throw e;
            } catch (Throwable e) {
                throw new IllegalStateException(e); // invokeExact declares it; strerror() throws nothing
            }
            return numbers;
        }
    }
}
