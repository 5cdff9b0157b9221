/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: landfall.h is C99, alone and beside abi/backend.h; built with -std=c99 -pedantic -Werror.
 * Its one function answers the sizes that a C compiler sees, for the C++ test to compare. */
#include "landfall/landfall.h"
/* After the header under test, so that it cannot lean on this one. */
#include "landfall/abi/backend.h"

size_t landfall_c_sizes(size_t* sizes, size_t capacity) {
  const landfall_error_t error = LANDFALL_ERROR_INIT;
  const landfall_reason_t reason = LANDFALL_REASON_INIT;
  const landfall_context_options_t context = LANDFALL_CONTEXT_OPTIONS_INIT;
  const landfall_region_options_t region = LANDFALL_REGION_OPTIONS_INIT;
  const landfall_memory_info_t memory = LANDFALL_MEMORY_INFO_INIT;
  const landfall_verdict_t verdict = LANDFALL_VERDICT_INIT;
  const landfall_contract_t contract = LANDFALL_CONTRACT_INIT;
  const landfall_group_options_t group = LANDFALL_GROUP_OPTIONS_INIT;
  const landfall_flow_options_t flow = LANDFALL_FLOW_OPTIONS_INIT;
  const landfall_candidate_t candidate = LANDFALL_CANDIDATE_INIT;
  const landfall_send_group_options_t send_group = LANDFALL_SEND_GROUP_OPTIONS_INIT;
  const size_t all[] = {error.struct_size,
                        reason.struct_size,
                        context.struct_size,
                        region.struct_size,
                        memory.struct_size,
                        verdict.struct_size,
                        contract.struct_size,
                        group.struct_size,
                        flow.struct_size,
                        candidate.struct_size,
                        sizeof(landfall_completion_t),
                        send_group.struct_size,
                        sizeof(landfall_sent_t)};
  const size_t count = sizeof all / sizeof all[0];
  size_t i;
  for (i = 0; i < count && i < capacity; ++i) sizes[i] = all[i];
  return count;
}
