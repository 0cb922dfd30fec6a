package dev.runhv.api;

import java.util.List;

/** What {@link Images#delete(String)} did. Implemented by runhv; later versions tell more. */
public interface RemovedImages {
    /**
     * The names that are gone.
     *
     * @return as {@link Image#name()}
     */
    List<String> names();

    /**
     * The image that is gone because it has no name any more, and those of its layers that no other image needs.
     *
     * @return an ID and diff_ids; empty where it has other names, or {@link #isContentLeft()}
     */
    List<String> content();

    /**
     * What came free.
     *
     * @return in bytes
     */
    long freedBytes();

    /**
     * Whether content stays that nobody needs, for {@code runhv prune}: somebody was pulling or starting something meanwhile.
     *
     * @return false where there is none
     */
    boolean isContentLeft();
}
