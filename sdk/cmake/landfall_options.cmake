# SPDX-License-Identifier: Apache-2.0
# Options, warnings and sanitizers, in interface targets rather than in global flags.
include(GNUInstallDirs)
include(landfall_features)

option(LANDFALL_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(LANDFALL_WERROR "Warnings are errors (the presets for development set it)" OFF)
option(LANDFALL_FUZZ "Build the fuzz targets with libFuzzer (clang)" OFF)
option(LANDFALL_COVERAGE "Count what the tests reach (gcov)" OFF)
set(LANDFALL_SANITIZE "" CACHE STRING "Sanitizers to link: address,undefined or thread")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

# Installed programs find the library beside them; under /usr the loader does without being told.
if(NOT CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  file(RELATIVE_PATH landfall_lib_from_bin
    ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
  set(CMAKE_INSTALL_RPATH $ORIGIN/${landfall_lib_from_bin})
endif()

find_program(LANDFALL_CCACHE ccache)
if(LANDFALL_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${LANDFALL_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${LANDFALL_CCACHE})
endif()

# The ABI's tables grow at their end and absent entries are zero: no warning about those.
add_library(landfall_build INTERFACE)
target_compile_options(landfall_build INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  -Wno-missing-field-initializers
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual>)
if(LANDFALL_WERROR)
  target_compile_options(landfall_build INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # False alarms in std::string: at -O3 (gcc.gnu.org/PR105651), and where its header was precompiled.
  # clang, the analysers and AddressSanitizer look at the same.
  target_compile_options(landfall_build INTERFACE
    -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread)
endif()
if(LANDFALL_SANITIZE)
  # Without vptr: clang's asks by a pipe whether memory is there, which a process without descriptors has not.
  target_compile_options(landfall_build INTERFACE
    -fsanitize=${LANDFALL_SANITIZE} -fno-sanitize=vptr -fno-omit-frame-pointer)
  target_link_options(landfall_build INTERFACE -fsanitize=${LANDFALL_SANITIZE})
endif()
if(LANDFALL_COVERAGE)
  target_compile_options(landfall_build INTERFACE --coverage)
  target_link_options(landfall_build INTERFACE --coverage)
endif()
if(LANDFALL_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "LANDFALL_FUZZ needs clang (libFuzzer); this is ${CMAKE_CXX_COMPILER_ID}. "
      "Use: cmake --preset fuzz")
  endif()
  target_compile_options(landfall_build INTERFACE -fsanitize=fuzzer-no-link)
endif()

# What most files include of the standard library is parsed once: the preset minimal takes 65 s on two processors, not 91. None may
# lean on it: the preset tidy goes without.
add_library(landfall_std_headers OBJECT ${CMAKE_CURRENT_LIST_DIR}/std_headers.cpp)
target_link_libraries(landfall_std_headers PRIVATE landfall_build)
target_precompile_headers(landfall_std_headers PRIVATE
  <algorithm> <array> <atomic> <chrono> <functional> <map> <memory> <mutex> <optional> <span> <string> <thread>
  <vector>)
function(landfall_use_std_headers target)
  target_precompile_headers(${target} REUSE_FROM landfall_std_headers)
endfunction()

if(LANDFALL_TESTS)
  find_package(GTest QUIET)
  if(NOT GTest_FOUND)
    message(FATAL_ERROR "LANDFALL_TESTS=ON needs GoogleTest (Debian: libgtest-dev libgmock-dev). "
      "Install it (sdk/cmake/setup test), or set LANDFALL_TESTS=OFF.")
  endif()

  # What tests are built with: they are most of the code, and compiling them most of the time.
  add_library(landfall_test_build INTERFACE)
  target_link_libraries(landfall_test_build INTERFACE landfall_build GTest::gtest GTest::gmock)
  target_compile_options(landfall_test_build INTERFACE $<$<CONFIG:RelWithDebInfo>:-Og>)
  add_executable(landfall_test_headers ${CMAKE_CURRENT_LIST_DIR}/test_headers.cpp)
  target_link_libraries(landfall_test_headers PRIVATE landfall_test_build)
  target_precompile_headers(landfall_test_headers PRIVATE
    <gtest/gtest.h> <chrono> <filesystem> <fstream> <functional> <map> <optional> <thread>)
endif()

# landfall_test_program(NAME SOURCES... [LIBS ...]): a program of GoogleTest cases.
function(landfall_test_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE
    landfall_internal landfall_test_build ${arg_LIBS} GTest::gtest_main)
  target_precompile_headers(${name} REUSE_FROM landfall_test_headers)
endfunction()

# Tests that take the longest begin first, so that the last one does not run alone.
set(landfall_long_tests devmem_tcp_test ofi_test system_bad_network_test system_wakeups_test tcp_gather_test
  tcp_same_host_test tcp_test)

# landfall_test(NAME SOURCES... [LIBS ...] [LABELS ...]): a GoogleTest program, one ctest entry.
# Exit status 77 is a skip; each skip names what is missing.
function(landfall_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  if(NOT LANDFALL_TESTS)
    return()
  endif()
  landfall_test_program(${name} SOURCES ${arg_SOURCES} LIBS ${arg_LIBS})
  add_test(NAME ${name} COMMAND ${name})
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  if(LANDFALL_SANITIZE)  # thread: about ten times as slow, and the machines have two cores
    math(EXPR arg_TIMEOUT "${arg_TIMEOUT} * 5")
  endif()
  set_tests_properties(${name} PROPERTIES
    LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT} SKIP_RETURN_CODE 77)
  if(name IN_LIST landfall_long_tests)
    set_tests_properties(${name} PROPERTIES COST 10)
  endif()
endfunction()

# landfall_lab_command(NAME COMMAND...): a ctest entry of the lab tier, lab_NAME, which runs in the
# VM of kernel/lab and is skipped elsewhere. TARGETS are built by `make lab` beforehand.
function(landfall_lab_command name)
  cmake_parse_arguments(arg "" "TIMEOUT" "COMMAND;TARGETS" ${ARGN})
  if(NOT LANDFALL_TESTS)
    return()
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)  # emulation is about twenty times as slow
  endif()
  string(REGEX REPLACE "^lab_" "" name ${name})
  add_test(NAME lab_${name} COMMAND ${PROJECT_SOURCE_DIR}/kernel/lab/inside ${arg_COMMAND})
  set_tests_properties(lab_${name} PROPERTIES
    LABELS lab TIMEOUT ${arg_TIMEOUT} SKIP_RETURN_CODE 77)
  set_property(GLOBAL APPEND PROPERTY landfall_lab_targets ${arg_TARGETS})
endfunction()

# landfall_lab_test(NAME [SOURCES ... LIBS ...]): a GoogleTest program of the lab tier; without
# SOURCES the program of a test that runs on any machine, and may skip nothing in the lab.
function(landfall_lab_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LIBS" ${ARGN})
  if(NOT LANDFALL_TESTS)
    return()
  endif()
  if(arg_SOURCES)
    landfall_test_program(${name} SOURCES ${arg_SOURCES} LIBS ${arg_LIBS})
  endif()
  landfall_lab_command(${name} COMMAND $<TARGET_FILE:${name}> TARGETS ${name}
    TIMEOUT ${arg_TIMEOUT})
endfunction()

# landfall_fuzz(NAME SOURCES... CORPUS folder [LIBS ...]): a parser's fuzz target, a file with
# LLVMFuzzerTestOneInput. With LANDFALL_FUZZ it is linked to libFuzzer; everywhere else it is a
# program that replays the corpus. Either way ctest runs the corpus.
function(landfall_fuzz name)
  cmake_parse_arguments(arg "" "CORPUS" "SOURCES;LIBS" ${ARGN})
  if(NOT LANDFALL_TESTS)
    return()
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE landfall_internal landfall_build ${arg_LIBS})
  set_property(GLOBAL APPEND PROPERTY landfall_fuzz_targets ${name})
  file(GLOB corpus CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${arg_CORPUS}/*)
  if(NOT corpus)
    message(FATAL_ERROR "${name}: no files in ${CMAKE_CURRENT_SOURCE_DIR}/${arg_CORPUS}")
  endif()
  if(LANDFALL_FUZZ)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set_target_properties(${name} PROPERTIES
      RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz/${name})
    file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz/${name})
    file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR}/${arg_CORPUS}
      ${PROJECT_BINARY_DIR}/fuzz/${name}/corpus SYMBOLIC)
    add_test(NAME ${name} COMMAND ${name} -runs=0 ${CMAKE_CURRENT_SOURCE_DIR}/${arg_CORPUS})
  else()
    target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/fuzz/replay.cpp)
    add_test(NAME ${name} COMMAND ${name} ${CMAKE_CURRENT_SOURCE_DIR}/${arg_CORPUS})
  endif()
  set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT 120)
endfunction()
