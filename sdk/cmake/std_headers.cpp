// SPDX-License-Identifier: Apache-2.0
// Nothing: CMake precompiles beside it the headers of the standard library that most files include.
