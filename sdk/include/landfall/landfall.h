/* SPDX-License-Identifier: Apache-2.0 */
/* The C API of landfall: the objects of landfall.hpp behind opaque handles, for C99 and for other
 * languages.
 *
 * Names: every type here ends in _t; the types of abi/backend.h (for authors of plug-ins) do not,
 * and landfall_flow is another thing than landfall_flow_t. Both headers may be included together.
 *
 * Errors: calls answer LANDFALL_ERRC_ok or another landfall_errc, and then fill *reterr_error
 * unless it is NULL. Outputs (ret_...) are untouched on failure. No exception leaves the library.
 *
 * Structs: those that begin with struct_size are filled by the caller, who starts from the
 * ..._INIT macro. Fields are only ever appended. A struct_size below the first release's, or
 * unknown fields that are not zero, are invalid_argument.
 *
 * NULL: a handle that is NULL is invalid_argument, or answers 0; dropping NULL does nothing.
 *
 * Threads: as in landfall.hpp. A receiver and its flows belong to the thread that polled first;
 * landfall_receiver_hand_over and landfall_buffer_drop are for any thread. */
#ifndef LANDFALL_LANDFALL_H
#define LANDFALL_LANDFALL_H
#include "landfall/c/error.h"
#include "landfall/c/group.h"
#include "landfall/c/memory.h"
#include "landfall/c/receiver.h"
#include "landfall/c/sender.h"
#endif
