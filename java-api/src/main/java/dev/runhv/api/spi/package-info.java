/** For implementations of the API only. */
@NullMarked
package dev.runhv.api.spi;

import org.jspecify.annotations.NullMarked;
