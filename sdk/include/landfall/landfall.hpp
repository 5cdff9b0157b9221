// SPDX-License-Identifier: Apache-2.0
// The whole C++ API of landfall in one include. Start with Context, Region, Group, Receiver;
// to send with SendGroup, Sender.
#pragma once
#include "landfall/base/context.hpp"
#include "landfall/base/error.hpp"
#include "landfall/base/fd.hpp"
#include "landfall/base/limits.hpp"
#include "landfall/base/reason.hpp"
#include "landfall/base/result.hpp"
#include "landfall/base/units.hpp"
#include "landfall/memory/memory.hpp"
#include "landfall/memory/region.hpp"
#include "landfall/policy/finding.hpp"
#include "landfall/policy/policy.hpp"
#include "landfall/transport/buffer.hpp"
#include "landfall/transport/completion.hpp"
#include "landfall/transport/decision.hpp"
#include "landfall/transport/flow.hpp"
#include "landfall/transport/group.hpp"
#include "landfall/transport/placement.hpp"
#include "landfall/transport/receiver.hpp"
#include "landfall/transport/sender.hpp"
#include "landfall/version.hpp"
