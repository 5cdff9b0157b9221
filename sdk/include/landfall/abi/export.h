/* SPDX-License-Identifier: Apache-2.0 */
/* What the library shows to the outside: everything else is hidden. */
#ifndef LANDFALL_ABI_EXPORT_H
#define LANDFALL_ABI_EXPORT_H
#ifdef __cplusplus
#define LANDFALL_API [[gnu::visibility("default")]]
#define LANDFALL_NOEXCEPT noexcept
#else
#define LANDFALL_API __attribute__((visibility("default")))
#define LANDFALL_NOEXCEPT
#endif
#endif
