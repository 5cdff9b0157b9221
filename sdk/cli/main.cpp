// SPDX-License-Identifier: Apache-2.0
#include <exception>

#include "cli.hpp"
#include "console.hpp"
#include "exit_code.hpp"

int main(int argc, char** argv) {
  try {
    return landfall::cli::run(argc, argv);
  } catch (const std::exception& error) {
    landfall::cli::print(stderr, std::string{"landfall: "} + error.what() + "\n");
    return landfall::cli::kExitFailure;
  }
}
