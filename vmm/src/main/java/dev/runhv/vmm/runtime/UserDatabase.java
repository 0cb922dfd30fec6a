package dev.runhv.vmm.runtime;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RequestException;
import dev.runhv.api.RunhvException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/**
 * The users and groups of a root file system: its {@code /etc/passwd} and {@code /etc/group}, read by the rules that docker
 * and the C library share. Spaces around a line and a carriage return do not count; lines may end after the id that makes
 * them one of a user or group (docker; glibc asks for the group's id as well); comments and the lines of NIS, which begin with
 * {@code +} or {@code -}, name nobody (glibc). Where the id is no number, docker takes the user for root: here, as in glibc
 * and musl, there is no such user.
 */
final class UserDatabase {
    private static final long MAXIMUM_ID = Integer.MAX_VALUE;

    private record User(String name, long uid, long gid, String home) {}

    private record Group(String name, long gid, List<String> members) {}

    private final List<User> users = new ArrayList<>();
    private final List<Group> groups = new ArrayList<>();

    /**
     * @param passwd content, null where there is no such file
     * @param group content, null where there is no such file
     */
    UserDatabase(byte[] passwd, byte[] group) {
        for (String[] fields : lines(passwd)) {
            String gid = field(fields, 3);
            if (isId(field(fields, 2)) && (gid.isEmpty() || isId(gid))) {
                users.add(new User(
                        fields[0],
                        Long.parseLong(fields[2]),
                        gid.isEmpty() ? 0 : Long.parseLong(gid),
                        field(fields, 5)));
            }
        }
        for (String[] fields : lines(group)) {
            if (isId(field(fields, 2))) {
                List<String> members = Stream.of(field(fields, 3).split(","))
                        .map(String::strip)
                        .toList();
                groups.add(new Group(fields[0], Long.parseLong(fields[2]), members));
            }
        }
    }

    /** Empty where the line ends before it. */
    private static String field(String[] fields, int index) {
        return index < fields.length ? fields[index] : "";
    }

    /**
     * @param text {@code NAME} or {@code UID}, and after a colon a group the same way; empty is root. What is a number is
     *     an id, also where a user has that name; it needs no entry.
     * @throws RequestException when a name is not there
     */
    ResolvedUser resolve(String text) {
        int colon = text.indexOf(':');
        String userText = colon < 0 ? text : text.substring(0, colon);
        String groupText = colon < 0 ? "" : text.substring(colon + 1);
        User user = user(text, userText.isEmpty() ? "0" : userText);
        Set<Long> gids = new LinkedHashSet<>();
        if (groupText.isEmpty()) {
            gids.add(user.gid);
            for (Group group : groups) {
                if (!user.name.isEmpty() && group.members.contains(user.name)) {
                    gids.add(group.gid);
                }
            }
        } else {
            gids.add(gid(text, groupText));
        }
        return new ResolvedUser(user.uid, gids.iterator().next(), List.copyOf(gids), user.home);
    }

    private User user(String text, String userText) {
        boolean number = isId(userText);
        for (User user : users) {
            if (number ? user.uid == Long.parseLong(userText) : user.name.equals(userText)) {
                return user.home.isEmpty() ? new User(user.name, user.uid, user.gid, "/") : user;
            }
        }
        if (!number) {
            throw unknown(text, "The image has no user \"" + userText + "\" in /etc/passwd");
        }
        return new User("", Long.parseLong(userText), 0, "/");
    }

    private long gid(String text, String groupText) {
        if (isId(groupText)) {
            return Long.parseLong(groupText);
        }
        for (Group group : groups) {
            if (group.name.equals(groupText)) {
                return group.gid;
            }
        }
        throw unknown(text, "The image has no group \"" + groupText + "\" in /etc/group");
    }

    private static RunhvException unknown(String text, String detail) {
        return RunhvException.of(ErrorCode.NOT_FOUND, "use the user \"" + text + "\"", detail, null, null);
    }

    private static boolean isId(String text) {
        if (text.isEmpty() || text.length() > 10 || !text.chars().allMatch(c -> c >= '0' && c <= '9')) {
            return false;
        }
        return Long.parseLong(text) <= MAXIMUM_ID;
    }

    private static List<String[]> lines(byte[] content) {
        if (content == null) {
            return List.of();
        }
        return new String(content, StandardCharsets.UTF_8)
                .lines()
                .map(String::strip)
                .filter(line -> !line.isEmpty() && "#+-".indexOf(line.charAt(0)) < 0)
                .map(line -> line.split(":", -1))
                .toList();
    }
}
