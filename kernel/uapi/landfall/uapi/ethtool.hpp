// SPDX-License-Identifier: Apache-2.0
// Numbers of the kernel's netlink family "ethtool" (Linux 7.3). Debian 12's headers end before the
// header split threshold; the older ones stand here too, so that there is one list.
// kernel/uapi/compare.sh holds them against newer headers.
#pragma once
#include <cstdint>

namespace landfall::uapi::ethtool {

inline constexpr char kFamily[] = "ethtool";
inline constexpr char kMonitorGroup[] = "monitor";  // ETHTOOL_MCGRP_MONITOR_NAME

enum Command : std::uint8_t {
  kFeaturesGet = 11,
  kFeaturesSet = 12,
  kRingsGet = 15,
  kRingsSet = 16,
  kChannelsGet = 17,
  kChannelsSet = 18,
  kRssGet = 38,
};

/// Nested in the first attribute of every request.
enum HeaderAttribute : std::uint16_t { kHeaderDevIndex = 1, kHeaderDevName = 2, kHeaderFlags = 3 };
inline constexpr std::uint16_t kHeader = 1;

enum RingsAttribute : std::uint16_t {
  kRingsRxMax = 2,
  kRingsRx = 6,
  kRingsRxBufLen = 10,
  kRingsTcpDataSplit = 11,
  kRingsHdsThresh = 17,
  kRingsHdsThreshMax = 18,
};
enum TcpDataSplit : std::uint8_t { kSplitUnknown = 0, kSplitDisabled = 1, kSplitEnabled = 2 };

enum ChannelsAttribute : std::uint16_t {
  kChannelsRxMax = 2,
  kChannelsCombinedMax = 5,
  kChannelsRxCount = 6,
  kChannelsCombinedCount = 9,
};

enum FeaturesAttribute : std::uint16_t {
  kFeaturesHw = 2,
  kFeaturesWanted = 3,
  kFeaturesActive = 4
};

enum BitsetAttribute : std::uint16_t { kBitsetNomask = 1, kBitsetBits = 3 };
inline constexpr std::uint16_t kBitsetBit = 1;  // each item of kBitsetBits
enum BitAttribute : std::uint16_t { kBitName = 2, kBitValue = 3 };

enum RssAttribute : std::uint16_t {
  kRssContext = 2,
  kRssHfunc = 3,
  kRssIndir = 4,
  kRssHkey = 5,
};

}  // namespace landfall::uapi::ethtool
