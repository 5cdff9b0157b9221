# SPDX-License-Identifier: Apache-2.0
# Optional parts: LANDFALL_WITH_<X> is AUTO (build it if what it needs is there, else say why not),
# ON (fail if it is not there) or OFF. The outcome is LANDFALL_HAVE_<X> and a line in the summary.
include_guard(GLOBAL)
set_property(GLOBAL PROPERTY landfall_summary "")

# landfall_feature(X what FOUND value MISSING text): decides LANDFALL_HAVE_X in the caller's scope.
function(landfall_feature name what)
  cmake_parse_arguments(arg "" "FOUND;MISSING" "" ${ARGN})
  set(option LANDFALL_WITH_${name})
  set(${option} AUTO CACHE STRING "${what}: AUTO, ON or OFF")
  set_property(CACHE ${option} PROPERTY STRINGS AUTO ON OFF)
  if(${option} STREQUAL "AUTO")
    if(arg_FOUND)
      set(have TRUE)
      set(why "found (AUTO)")
    else()
      set(have FALSE)
      set(why "${arg_MISSING} (AUTO)")
    endif()
  elseif(${option})
    if(NOT arg_FOUND)
      message(FATAL_ERROR "${option}=ON, but ${arg_MISSING}. Install it, or set ${option}=AUTO.")
    endif()
    set(have TRUE)
    set(why "asked for (ON)")
  else()
    set(have FALSE)
    set(why "switched off (OFF)")
  endif()
  set(LANDFALL_HAVE_${name} ${have} PARENT_SCOPE)
  landfall_summary_line("${what}" ${have} "${why}")
endfunction()

function(landfall_summary_line what have why)
  if(have)
    set(state "yes")
  else()
    set(state "no ")
  endif()
  string(LENGTH "${what}" length)
  math(EXPR pad "34 - ${length}")
  if(pad GREATER 0)
    string(REPEAT " " ${pad} spaces)
  endif()
  set_property(GLOBAL APPEND PROPERTY landfall_summary "  ${what}${spaces}${state}  ${why}")
endfunction()

# Printed last, so that it is what one sees.
function(landfall_print_summary)
  get_property(lines GLOBAL PROPERTY landfall_summary)
  message(STATUS "landfall ${PROJECT_VERSION}, ${CMAKE_CXX_COMPILER_ID} "
    "${CMAKE_CXX_COMPILER_VERSION}, ${CMAKE_BUILD_TYPE}")
  foreach(line IN LISTS lines)
    message(STATUS "${line}")
  endforeach()
endfunction()

find_package(PkgConfig QUIET)

# landfall_library(NAME target what MODULES ... MISSING text): a feature that is a library of these
# pkg-config modules. What uses it links `target`: the library and LANDFALL_HAVE_NAME=1, or only
# LANDFALL_HAVE_NAME=0.
macro(landfall_library name target what)
  cmake_parse_arguments(${target} "" "MISSING" "MODULES" ${ARGN})
  if(PkgConfig_FOUND)
    pkg_check_modules(${target} QUIET IMPORTED_TARGET ${${target}_MODULES})
  endif()
  landfall_feature(${name} "${what}" FOUND "${${target}_FOUND}" MISSING "${${target}_MISSING}")
  add_library(${target} INTERFACE)
  if(LANDFALL_HAVE_${name})
    target_link_libraries(${target} INTERFACE PkgConfig::${target})
    target_compile_definitions(${target} INTERFACE LANDFALL_HAVE_${name}=1)
  else()
    target_compile_definitions(${target} INTERFACE LANDFALL_HAVE_${name}=0)
  endif()
endmacro()
landfall_library(URING landfall_uring "io_uring (tcp, zcrx)" MODULES liburing>=2.3
  MISSING "liburing 2.3 or later not found (Debian: liburing-dev)")
landfall_library(NIC landfall_nl "setting NICs up" MODULES libnl-3.0>=3.5 libnl-genl-3.0>=3.5
  MISSING "libnl-3 not found (Debian: libnl-3-dev libnl-genl-3-dev)")
landfall_library(POLICY landfall_yaml "policies in YAML" MODULES yaml-cpp>=0.6.3
  MISSING "yaml-cpp not found (Debian: libyaml-cpp-dev)")
landfall_library(HWLOC landfall_hwloc "hwloc (landfall topo)" MODULES hwloc>=2.1
  MISSING "hwloc 2.1 or later not found (Debian: libhwloc-dev)")

find_package(CLI11 QUIET)
find_package(nlohmann_json QUIET)
if(CLI11_FOUND AND nlohmann_json_FOUND)
  set(landfall_cli_found TRUE)
endif()
landfall_feature(CLI "the landfall command" FOUND "${landfall_cli_found}"
  MISSING "CLI11 or nlohmann-json not found (Debian: libcli11-dev nlohmann-json3-dev)")

find_program(LANDFALL_SCDOC scdoc)
landfall_feature(MAN "man pages" FOUND "${LANDFALL_SCDOC}" MISSING "scdoc not found")

find_package(benchmark QUIET)
landfall_feature(BENCH "microbenchmarks" FOUND "${benchmark_FOUND}"
  MISSING "Google Benchmark not found (Debian: libbenchmark-dev)")
