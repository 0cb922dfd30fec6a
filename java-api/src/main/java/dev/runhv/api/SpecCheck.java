package dev.runhv.api;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** What descriptions are checked for before anything is done for them. */
final class SpecCheck {
    private SpecCheck() {}

    static void require(boolean holds, String operation, String detail) {
        if (!holds) {
            throw RunhvException.of(ErrorCode.INVALID_ARGUMENT, operation, detail, null, null);
        }
    }

    // Linux ends a string at the first NUL: what follows would be lost in silence.
    static void text(String operation, String what, String text) {
        require(text.indexOf('\0') < 0, operation, "The " + what + " holds a NUL character");
    }

    static void texts(String operation, String what, Collection<String> texts) {
        texts.forEach(text -> text(operation, what, text));
    }

    static void environment(String operation, Map<String, String> environment) {
        environment.forEach((name, value) -> {
            require(
                    !name.isEmpty() && name.indexOf('=') < 0,
                    operation,
                    "The environment variable \"" + name + "\" has no name, or a = in it");
            text(operation, "environment variable", name);
            text(operation, "environment variable " + name, value);
        });
    }

    static void workingDirectory(String operation, String directory) {
        require(
                directory.startsWith("/"),
                operation,
                "The working directory \"" + directory + "\" is not absolute: it begins with /");
        text(operation, "working directory", directory);
    }

    static void user(String operation, String user) {
        require(!user.isEmpty(), operation, "The user is empty: leave it out, or write NAME, UID or UID:GID");
        text(operation, "user", user);
    }

    static void range(String operation, String what, long value, long least, long most) {
        require(
                value >= least && value <= most,
                operation,
                "The " + what + " is " + value + ": it must be from " + least + " to " + most);
    }

    static List<String> words(String... words) {
        for (String word : words) {
            Objects.requireNonNull(word, "word");
        }
        return List.of(words);
    }
}
