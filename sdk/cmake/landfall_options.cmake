# SPDX-License-Identifier: Apache-2.0
# Options, warnings and sanitizers, in interface targets rather than in global flags.
include(GNUInstallDirs)

option(LANDFALL_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
set(LANDFALL_SANITIZE "" CACHE STRING "Sanitizers to link: address,undefined or thread")
set(LANDFALL_WITH_URING AUTO CACHE STRING "io_uring in the tcp transport (liburing): AUTO, ON or OFF")
set_property(CACHE LANDFALL_WITH_URING PROPERTY STRINGS AUTO ON OFF)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

find_program(LANDFALL_CCACHE ccache)
if(LANDFALL_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${LANDFALL_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${LANDFALL_CCACHE})
endif()

add_library(landfall_build INTERFACE)
target_compile_options(landfall_build INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual>)
if(PROJECT_IS_TOP_LEVEL)
  target_compile_options(landfall_build INTERFACE -Werror)
endif()
if(LANDFALL_SANITIZE)
  target_compile_options(landfall_build INTERFACE -fsanitize=${LANDFALL_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(landfall_build INTERFACE -fsanitize=${LANDFALL_SANITIZE})
endif()

# landfall_test(NAME SOURCES... [LIBS ...] [LABELS ...]): a GoogleTest program, one ctest entry.
# Exit status 77 is a skip; each skip names what is missing.
function(landfall_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  if(NOT LANDFALL_TESTS)
    return()
  endif()
  find_package(GTest REQUIRED)
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE landfall_internal landfall_build ${arg_LIBS} GTest::gtest_main GTest::gmock)
  add_test(NAME ${name} COMMAND ${name})
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT} SKIP_RETURN_CODE 77)
endfunction()
