// SPDX-License-Identifier: Apache-2.0
// The verbs: each takes the parsed command line and answers the exit status.
#pragma once
#include "arguments.hpp"
#include "console.hpp"

namespace landfall::cli {

int run_info(const Arguments& arguments, Console& console);
int run_doctor(const Arguments& arguments, Console& console);
int run_topo(const Arguments& arguments, Console& console);
int run_recv(const Arguments& arguments, Console& console);
int run_send(const Arguments& arguments, Console& console);
int run_bench(const Arguments& arguments, Console& console);
int run_explain(const Arguments& arguments, Console& console);
int run_validate(const Arguments& arguments, Console& console);
int run_schema(const Arguments& arguments, Console& console);
int run_plan(const Arguments& arguments, Console& console);
int run_apply(const Arguments& arguments, Console& console);
int run_confirm(const Arguments& arguments, Console& console);
int run_rollback(const Arguments& arguments, Console& console);
int run_restore(const Arguments& arguments, Console& console);
int run_status(const Arguments& arguments, Console& console);

}  // namespace landfall::cli
