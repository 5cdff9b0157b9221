// SPDX-License-Identifier: Apache-2.0
// Which sanitizer this is built with: gcc and clang say it in different ways.
#pragma once

#if defined(__has_feature)
#define LANDFALL_ASAN __has_feature(address_sanitizer)
#define LANDFALL_TSAN __has_feature(thread_sanitizer)
#else
#ifdef __SANITIZE_ADDRESS__
#define LANDFALL_ASAN 1
#else
#define LANDFALL_ASAN 0
#endif
#ifdef __SANITIZE_THREAD__
#define LANDFALL_TSAN 1
#else
#define LANDFALL_TSAN 0
#endif
#endif

namespace landfall::test {

inline constexpr bool kSanitized = LANDFALL_ASAN || LANDFALL_TSAN;

}  // namespace landfall::test
