/**
 * A reader of tar as images use it: ustar, PAX, GNU and star, bytes kept as bytes.
 *
 * <p>Names and extended attributes in a tar are bytes in no particular encoding. They are held here as strings in which
 * each {@code char} is one byte (ISO 8859-1): compact in memory, and their natural order is the order of the bytes.
 */
package dev.runhv.vmm.content.tar;
