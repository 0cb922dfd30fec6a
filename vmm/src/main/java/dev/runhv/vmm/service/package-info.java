/** The image service: one process that answers the requests of many commands (docs/service.md). */
package dev.runhv.vmm.service;
