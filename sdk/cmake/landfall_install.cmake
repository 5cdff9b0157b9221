# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where, and the Debian packages. Components: runtime, dev, tools.
include(CMakePackageConfigHelpers)

set(LANDFALL_BACKENDS_DIR ${CMAKE_INSTALL_LIBDIR}/${LANDFALL_BACKENDS_FOLDER})
set(landfall_config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/landfall)

set_target_properties(landfall_backend PROPERTIES EXPORT_NAME backend)
install(TARGETS landfall landfall_backend EXPORT landfallTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT dev
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev
  FILE_SET lists DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)
install(DIRECTORY DESTINATION ${LANDFALL_BACKENDS_DIR} COMPONENT runtime)

install(EXPORT landfallTargets NAMESPACE landfall::
  DESTINATION ${landfall_config_dir} COMPONENT dev)
configure_package_config_file(${PROJECT_SOURCE_DIR}/sdk/cmake/landfallConfig.cmake.in
  ${PROJECT_BINARY_DIR}/landfallConfig.cmake INSTALL_DESTINATION ${landfall_config_dir}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR LANDFALL_BACKENDS_DIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/landfallConfigVersion.cmake
  COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/landfallConfig.cmake
  ${PROJECT_BINARY_DIR}/landfallConfigVersion.cmake
  DESTINATION ${landfall_config_dir} COMPONENT dev)

# The .pc file finds its prefix from its own place, so that an unpacked tree works anywhere.
file(RELATIVE_PATH LANDFALL_PC_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(${PROJECT_SOURCE_DIR}/sdk/cmake/landfall.pc.in ${PROJECT_BINARY_DIR}/landfall.pc
  @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/landfall.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)

# Policies to start from, and their schema.
file(GLOB landfall_policies CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/config/*.yaml)
if(TARGET landfall_cli)
  install(FILES ${landfall_policies} ${PROJECT_SOURCE_DIR}/config/policy.schema.json
    ${PROJECT_SOURCE_DIR}/config/landfall-dashboard.json
    DESTINATION ${CMAKE_INSTALL_DATADIR}/landfall/config COMPONENT tools)
  # They name /usr/bin/landfall, as a package installs it.
  install(FILES ${PROJECT_SOURCE_DIR}/config/landfall-nic.service
    ${PROJECT_SOURCE_DIR}/config/landfall-recv@.service
    DESTINATION lib/systemd/system COMPONENT tools)
  set(landfall_components runtime dev tools)
else()
  set(landfall_components runtime dev)
endif()

# --- Debian packages: cpack -G DEB ---
set(landfall_deb_runtime liblandfall${PROJECT_VERSION_MAJOR})
set(landfall_deb_dev liblandfall-dev)
set(landfall_deb_tools landfall-tools)
find_program(LANDFALL_GZIP gzip)
foreach(component IN LISTS landfall_components)
  set(doc ${CMAKE_INSTALL_DATADIR}/doc/${landfall_deb_${component}})
  install(FILES ${PROJECT_SOURCE_DIR}/sdk/cmake/deb/copyright
    DESTINATION ${doc} COMPONENT ${component})
  if(LANDFALL_GZIP)
    configure_file(${PROJECT_SOURCE_DIR}/sdk/cmake/deb/changelog.in
      ${PROJECT_BINARY_DIR}/deb/changelog @ONLY)
    execute_process(COMMAND ${LANDFALL_GZIP} -9nkf ${PROJECT_BINARY_DIR}/deb/changelog)
    install(FILES ${PROJECT_BINARY_DIR}/deb/changelog.gz
      DESTINATION ${doc} COMPONENT ${component})
  endif()
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME landfall)
set(CPACK_PACKAGE_VENDOR "The landfall authors")
set(CPACK_PACKAGE_CONTACT "The landfall authors <maintainers@landfall.invalid>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # each package says its own
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_COMPONENTS_ALL ${landfall_components})
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR}/sdk)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)  # the C++ API may change with each 0.x: exactly this one
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_COMPONENT_DEV_DEPENDS runtime)
set(CPACK_COMPONENT_TOOLS_DEPENDS runtime)

set(landfall_about
"landfall receives network data into memory that the application names: host
pages, huge pages or a dma-buf. It picks the best receive path that the host
has and says for every byte whether it was copied.
")

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME ${landfall_deb_runtime})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/sdk/cmake/deb/triggers)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "unified zero-copy receive - shared library
${landfall_about}
This package holds the shared library.")

set(CPACK_DEBIAN_DEV_PACKAGE_NAME ${landfall_deb_dev})
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_COMPONENT_DEV_DESCRIPTION "unified zero-copy receive - development files
${landfall_about}
This package holds the headers, the CMake package and the pkg-config file.")

set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME ${landfall_deb_tools})
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION net)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SHLIBDEPS ON)
set(CPACK_COMPONENT_TOOLS_DESCRIPTION "unified zero-copy receive - command-line tools
${landfall_about}
This package holds the landfall command.")
include(CPack)
