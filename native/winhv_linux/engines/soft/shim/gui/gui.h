// SPDX-License-Identifier: LGPL-2.0-or-later
// Stands in for Bochs's user interface: there is none.
