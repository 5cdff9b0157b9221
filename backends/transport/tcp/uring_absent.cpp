// SPDX-License-Identifier: Apache-2.0
// Stands in for the io_uring engine where landfall is built without liburing.
#include "tcp/queue.hpp"

namespace landfall::tcp {

landfall_errc probe_uring(const landfall_host*, bool*, landfall_why* why) {
  return authoring::fix(
      why,
      authoring::refuse(why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_io_uring_missing,
                        LANDFALL_ORIGIN_LANDFALL, 0,
                        "this landfall was built without io_uring (LANDFALL_WITH_URING)"),
      "build it with liburing 2.3 or later, or use engine=recv");
}

landfall_errc open_uring_queue(const QueueSetup& setup, std::unique_ptr<Queue>*,
                               landfall_why* why) {
  return probe_uring(setup.host, nullptr, why);
}

}  // namespace landfall::tcp
