# What `cmake --install` puts where: program, headers, static and shared library, pkg-config file,
# CMake package, manual page, and the model that is used when none is named.

include(CMakePackageConfigHelpers)

function(ew_install)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/edgewise DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.h")
  install(FILES ${PROJECT_SOURCE_DIR}/docs/man/edgewise.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

  install(FILES ${PROJECT_SOURCE_DIR}/models/tiny.gguf ${PROJECT_SOURCE_DIR}/models/mmproj-tiny.gguf
    DESTINATION ${CMAKE_INSTALL_DATADIR}/edgewise OPTIONAL)

  # Both kinds of library, each in its own export set: only the static one needs the libraries below.
  set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Edgewise)
  foreach(kind static shared)
    set_target_properties(edgewise_${kind} PROPERTIES EXPORT_NAME ${kind})
    install(TARGETS edgewise_${kind} EXPORT edgewise_${kind}_targets
      LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(EXPORT edgewise_${kind}_targets NAMESPACE edgewise:: DESTINATION ${package_dir}
      FILE EdgewiseTargets-${kind}.cmake)
  endforeach()

  set(ew_find_modules "")
  foreach(module ${EW_MODULES})
    string(REPLACE "=" ";" pair ${module})
    list(GET pair 0 prefix)
    list(GET pair 1 name)
    string(APPEND ew_find_modules "  pkg_check_modules(${prefix} QUIET IMPORTED_TARGET ${name})\n"
      "  if(NOT ${prefix}_FOUND)\n    list(APPEND _edgewise_missing ${name})\n  endif()\n")
    list(APPEND names ${name})
  endforeach()
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/EdgewiseConfig.cmake.in
    ${PROJECT_BINARY_DIR}/EdgewiseConfig.cmake INSTALL_DESTINATION ${package_dir})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/EdgewiseConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/EdgewiseConfig.cmake
    ${PROJECT_BINARY_DIR}/EdgewiseConfigVersion.cmake DESTINATION ${package_dir})

  # The prefix is found from the file's own place, so an installed tree may be moved.
  list(JOIN names " " ew_pc_requires)
  file(RELATIVE_PATH ew_pc_up ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
  string(REGEX REPLACE "/$" "" ew_pc_up ${ew_pc_up})
  configure_file(${PROJECT_SOURCE_DIR}/cmake/edgewise.pc.in ${PROJECT_BINARY_DIR}/edgewise.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/edgewise.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()
