// SPDX-License-Identifier: Apache-2.0
// A forked child.
#pragma once
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

namespace landfall::test {

/// Whether `check` says yes in a child that is forked for it: only what `check` itself destroys is
/// destroyed there. One that stands still is ended after half a minute.
template <class Check>
bool holds_in_child(Check&& check) {
  constexpr unsigned kPatience = 30;  // seconds
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kPatience);
    ::_exit(std::forward<Check>(check)() ? 0 : 1);
  }
  int status = -1;
  return child > 0 && ::waitpid(child, &status, 0) == child && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0;
}

}  // namespace landfall::test
