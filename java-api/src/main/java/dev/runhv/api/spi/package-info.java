/** For implementations of the API only. */
package dev.runhv.api.spi;
