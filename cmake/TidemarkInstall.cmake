# cmake --install BUILD --prefix P            programs, library, headers, find_package(Tidemark)
# cmake --install BUILD --component client    only what a C++ author needs; the programs need not be built
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Tidemark)
set(installed_libraries tidemark_options tidemark_asio tidemark_base tidemark_base_io tidemark_shardrouter
    tidemark_shardrouter_io tidemark_client tidemark_client_io tidemark_client_grpc tidemark_testing)
# Users link Tidemark::client, their unit tests Tidemark::testing, gRPC services Tidemark::client_grpc too; the others
# come along.
foreach(library ${installed_libraries})
  string(REPLACE tidemark_ "" name ${library})
  set_target_properties(${library} PROPERTIES EXPORT_NAME ${name})
endforeach()
set_target_properties(tidemark_client PROPERTIES EXPORT_NAME client_core)
set_target_properties(tidemark_client_io PROPERTIES EXPORT_NAME client)

install(TARGETS ${installed_libraries} EXPORT TidemarkTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT client)
install(EXPORT TidemarkTargets NAMESPACE Tidemark:: DESTINATION ${package_dir} COMPONENT client)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/TidemarkConfig.cmake.in ${CMAKE_BINARY_DIR}/TidemarkConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/TidemarkConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/TidemarkConfig.cmake ${CMAKE_BINARY_DIR}/TidemarkConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT client)
foreach(folder base shardrouter client)
  install(DIRECTORY ${folder} DESTINATION include/tidemark COMPONENT client FILES_MATCHING PATTERN "*.h"
    PATTERN example EXCLUDE)
endforeach()

foreach(program tidemark-cache tidemark-invalidator tidemark-catalog tidemark-session tidemark-order tidemark-order-relay
        tidemark-shards tidemarkctl tidemark-localcluster)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT programs)
  endif()
endforeach()
