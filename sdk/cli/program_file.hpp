// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>

#include "destination.hpp"

namespace landfall::cli {

/// An object on its way into a program: PROGRAM NAME, with its bytes on standard input, in order.
/// finish() waits for the program's end. One that is not finished is ended by SIGTERM: the end of
/// its input would look like the end of the object.
/// `stop_fd`: once it is readable nothing waits for the program any more (ECANCELED); -1: never.
/// Errors: not_found, permission_denied - it cannot be started. Of write() and finish(): io - it
/// has ended before its input, or not with 0.
Result<std::unique_ptr<PartFile>> start_program(const std::string& program, const std::string& name,
                                                int stop_fd);

}  // namespace landfall::cli
