// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "exit_code.hpp"
#include "topology.hpp"
#include "verbs.hpp"

namespace landfall::cli {

int run_topo(const Arguments& arguments, Console& console) {
  const auto topology = read_topology();
  if (!topology) {
    console.error(topology.error());
    return exit_of(topology.error());
  }
  const bool written =
      arguments.has("json") ? print_json(json_of(*topology)) : print(stdout, text_of(*topology));
  return written ? kExitOk : kExitFailure;
}

}  // namespace landfall::cli
